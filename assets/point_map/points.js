// The points as data: what Python's layers hold, where a point is at the slider's place, and which one is nearest.

const HISTOGRAM_CELLS = 256;

function createPoints(model) {
  const seen = { places: "", colour: "", mask: "", edges: "", ends: "" };
  const points = { places: [], extent: null, colours: null, mask: null, edges: null, update, forgetUploads, ends, placeOf, isShown, nearest };

  const version = (name) => model.layers.get(name)?.header.version ?? "";

  // Takes what is new into memory and onto the card. "incomplete": layers are on their way; "moved": other coordinates.
  function update(scene, at) {
    const names = model.view.places.map((_, k) => `place:${k}`);
    if (![...names, "colour", "mask"].every((name) => model.layers.has(name))) return "incomplete";
    const { count } = model.layers.get(names[0]).header;
    if (["colour", "mask"].some((name) => model.layers.get(name).header.count !== count)) return "incomplete";
    const key = names.map(version).join();
    const isMoved = seen.places !== key;
    if (isMoved) {
      points.places = names.map((name) => readPlaces(model.layers.get(name).content));
      points.extent = extentOf(points.places[0]);
      at.morph = Math.min(at.morph, points.places.length - 1);
      Object.assign(seen, { places: key, ends: "", edges: "" });
    }
    take("colour", (layer) => { points.colours = layer.content; scene.setColours(points.colours); });
    take("mask", (layer) => { points.mask = readMask(layer.content, count); scene.setMask(points.mask); });
    if (model.layers.has("edges")) {
      take("edges", (layer) => { points.edges = readEdges(layer.content, layer.header.pairs); seen.ends = ""; });
    } else if (points.edges) {
      points.edges = null;
      seen.edges = "";
      scene.clearLines();
    }
    return isMoved ? "moved" : "same";
  }

  function take(name, use) {
    if (seen[name] === version(name)) return;
    seen[name] = version(name);
    use(model.layers.get(name));
  }

  // The card lost its memory: everything is sent to it again.
  function forgetUploads() {
    Object.assign(seen, { places: "", colour: "", mask: "", edges: "", ends: "" });
  }

  // The two drawings on either side of the slider, and how far it is between them; uploaded when they change.
  function ends(scene, morph) {
    const { places, edges } = points;
    const floor = Math.min(Math.floor(morph), Math.max(places.length - 2, 0));
    const from = places[floor];
    const to = places[Math.min(floor + 1, places.length - 1)];
    const key = `${seen.places}|${floor}|${seen.edges}`;
    if (seen.ends !== key) {
      seen.ends = key;
      scene.setPlaces(from, to);
      if (edges) scene.setLines(edges, from, to);
    }
    return [from, to, morph - floor];
  }

  function placeOf(index, [from, to, share]) {
    return [0, 1].map((axis) => from[2 * index + axis] * (1 - share) + to[2 * index + axis] * share);
  }

  function isShown(index, hidden) {
    return (points.mask[index] & 1) === 1 && !hidden.has(points.colours[index]);
  }

  // The shown point nearest to a place of the map and within a radius of it, or null.
  function nearest(x, y, radius, [from, to, share], hidden) {
    let [best, bestDistance] = [null, radius ** 2];
    for (let k = 0; k < points.colours.length; k++) {
      const dx = from[2 * k] + (to[2 * k] - from[2 * k]) * share - x;
      const dy = from[2 * k + 1] + (to[2 * k + 1] - from[2 * k + 1]) * share - y;
      const distance = dx * dx + dy * dy;
      if (distance < bestDistance && isShown(k, hidden)) [best, bestDistance] = [k, distance];
    }
    return best;
  }

  return points;
}

// Box around all points, and how many points lie in a square unit where it is crowded: the density's full tone.
function extentOf(places) {
  let [left, bottom, right, top] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let k = 0; k < places.length; k += 2) {
    left = Math.min(left, places[k]);
    right = Math.max(right, places[k]);
    bottom = Math.min(bottom, places[k + 1]);
    top = Math.max(top, places[k + 1]);
  }
  if (!places.length) [left, bottom, right, top] = [-1, -1, 1, 1];
  const width = Math.max(right - left, 1e-6);
  const height = Math.max(top - bottom, 1e-6);
  const cells = new Uint32Array(HISTOGRAM_CELLS * HISTOGRAM_CELLS);
  const last = HISTOGRAM_CELLS - 1;
  for (let k = 0; k < places.length; k += 2) {
    const column = Math.min(last, Math.floor(((places[k] - left) / width) * HISTOGRAM_CELLS));
    const row = Math.min(last, Math.floor(((places[k + 1] - bottom) / height) * HISTOGRAM_CELLS));
    cells[row * HISTOGRAM_CELLS + column]++;
  }
  const filled = cells.filter((value) => value > 0).sort();
  const crowded = filled.length ? filled[Math.floor(filled.length * 0.995)] : 1;
  const cellArea = (width * height) / (HISTOGRAM_CELLS * HISTOGRAM_CELLS);
  return { left, bottom, width, height, crowded: crowded / cellArea, typical: places.length / 2 / Math.max(1, filled.length) / cellArea };
}
