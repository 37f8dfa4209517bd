// The map as people use it: canvas, tools, legend, sliders, keyboard. Sentences enter the page as text only.

const PICK_PIXELS = 9;
const ASK_AFTER_MS = 60;
const CROWD = 60000;
const LEAST_STEP_PIXELS = 4;
const TOOLS = [["pan", "Pan", "Drag to move, wheel to zoom (P)"], ["box", "Box", "Select a box (B)"], ["lasso", "Lasso", "Select by drawing around points (L)"]];

function createScreen(root, model) {
  const at = { x: 0, y: 0, zoom: 1, morph: 0, tool: "pan", density: null, hovered: null, region: [], dragging: null, crosshair: false, hidden: new Set(), phi: null, focus: null, fitted: false };
  const uploaded = { places: "", colour: "", mask: "", edges: "", palette: "" };
  let [places, extent, colours, mask, edges, scene, frame, askTimer] = [[], null, null, null, null, null, 0, 0];
  let component = null;

  const parts = build(root);
  // A canvas that changes its size waits for everything uploaded before: take the size first.
  parts.stage.style.height = `${model.view.height}px`;
  resize();
  scene = openScene();
  const observer = new ResizeObserver(() => { resize(); redraw(); });
  observer.observe(parts.stage);

  function openScene() {
    const made = createScene(parts.points);
    if (!made) parts.status.textContent = parts.note.textContent = "This browser has no WebGL 2, which the map needs.";
    return made;
  }

  // ---- what Python sent -------------------------------------------------------------------------------------

  function update(given) {
    component = given ?? component;
    const view = model.view;
    if (!view || !scene) return;
    const names = view.places.map((_, k) => `place:${k}`);
    if (![...names, "colour", "mask"].every((name) => model.layers.has(name))) return;
    const version = (name) => model.layers.get(name)?.header.version ?? "";
    const count = model.layers.get(names[0]).header.count;
    if (["colour", "mask"].some((name) => model.layers.get(name).header.count !== count)) return;
    const key = names.map(version).join();
    if (uploaded.places !== key) {
      places = names.map((name) => readPlaces(model.layers.get(name).content));
      extent = extentOf(places[0]);
      Object.assign(at, { morph: Math.min(at.morph, places.length - 1), hovered: null, fitted: false });
      Object.assign(uploaded, { places: key, ends: "", edges: "" });
    }
    take("colour", (layer) => { colours = layer.content; scene.setColours(colours); });
    take("mask", (layer) => { mask = readMask(layer.content, count); scene.setMask(mask); });
    if (model.layers.has("edges")) take("edges", (layer) => { edges = readEdges(layer.content, layer.header.pairs); uploaded.ends = ""; });
    else if (edges) { edges = null; uploaded.edges = ""; scene.clearLines(); }
    paint();
    controls(view);
    resize();
    if (!at.fitted && parts.points.width > 1) fit();
    if (view.focus && view.focus.mark !== at.focus) goTo(view.focus);
    redraw();
  }

  function take(name, use) {
    const layer = model.layers.get(name);
    if (uploaded[name] === layer.header.version) return;
    uploaded[name] = layer.header.version;
    use(layer);
  }

  function paint() {
    const key = JSON.stringify([model.view.palette, [...at.hidden]]);
    if (uploaded.palette === key) return;
    uploaded.palette = key;
    scene.setPalette(model.view.palette, at.hidden);
  }

  function ends() {
    const floor = Math.min(Math.floor(at.morph), Math.max(places.length - 2, 0));
    const from = places[floor];
    const to = places[Math.min(floor + 1, places.length - 1)];
    const key = `${uploaded.places}|${floor}|${uploaded.edges}`;
    if (uploaded.ends !== key) {
      uploaded.ends = key;
      scene.setPlaces(from, to);
      if (edges) scene.setLines(edges, from, to);
    }
    return [from, to, at.morph - floor];
  }

  // ---- places and pixels ------------------------------------------------------------------------------------

  function width() {
    return parts.stage.clientWidth;
  }

  function height() {
    return parts.stage.clientHeight;
  }

  const fromData = (x, y) => [(x - at.x) * at.zoom + width() / 2, height() / 2 - (y - at.y) * at.zoom];
  const toData = (left, top) => [(left - width() / 2) / at.zoom + at.x, (height() / 2 - top) / at.zoom + at.y];

  function placeOf(index) {
    const [from, to, t] = ends();
    return [0, 1].map((axis) => from[2 * index + axis] * (1 - t) + to[2 * index + axis] * t);
  }

  const isShown = (index) => (mask[index] & 1) === 1 && !at.hidden.has(colours[index]);

  function nearest(left, top, within) {
    const [from, to, t] = ends();
    const [x, y] = toData(left, top);
    let [best, bestDistance] = [null, (within / at.zoom) ** 2];
    for (let k = 0; k < colours.length; k++) {
      const dx = from[2 * k] + (to[2 * k] - from[2 * k]) * t - x;
      const dy = from[2 * k + 1] + (to[2 * k + 1] - from[2 * k + 1]) * t - y;
      const distance = dx * dx + dy * dy;
      if (distance < bestDistance && isShown(k)) [best, bestDistance] = [k, distance];
    }
    return best;
  }

  function fitZoom() {
    return 0.92 * Math.min(width() / extent.width, height() / extent.height);
  }

  function fit() {
    Object.assign(at, { x: extent.left + extent.width / 2, y: extent.bottom + extent.height / 2, zoom: fitZoom(), fitted: true });
    redraw();
  }

  function zoomBy(factor, left = width() / 2, top = height() / 2) {
    const [x, y] = toData(left, top);
    at.zoom = Math.min(Math.max(at.zoom * factor, fitZoom() / 4), fitZoom() * 20000);
    const [x2, y2] = toData(left, top);
    at.x += x - x2;
    at.y += y - y2;
    redraw();
  }

  function goTo(focus) {
    at.focus = focus.mark;
    [at.x, at.y] = placeOf(focus.index);
    at.zoom = Math.max(at.zoom, fitZoom() * 4);
  }

  // ---- drawing ----------------------------------------------------------------------------------------------

  function resize() {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    for (const canvas of [parts.points, parts.overlay]) {
      const [w, h] = [Math.max(1, Math.round(width() * ratio)), Math.max(1, Math.round(height() * ratio))];
      if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
    }
  }

  function redraw() {
    if (!frame) frame = requestAnimationFrame(() => { frame = 0; drawNow(); });
  }

  // The hovered point and the drawn region are two small shapes of their own: neither points nor names are drawn again.
  function mark() {
    parts.region.setAttribute("points", at.region.map((corner) => corner.map(Math.round).join()).join(" "));
    const place = at.hovered === null ? null : fromData(...placeOf(at.hovered));
    for (const ring of parts.hovered) {
      ring.setAttribute("r", place ? 8 : 0);
      if (place) ["cx", "cy"].forEach((axis, k) => ring.setAttribute(axis, place[k]));
    }
  }

  function isDense() {
    if (at.density !== null) return at.density;
    // Rather many points in sight, and crowded: the density says more than discs on discs.
    const share = Math.min(1, (fitZoom() / at.zoom) ** 2);
    return colours.length * share > CROWD;
  }

  function look(ratio = parts.points.width / width()) {
    const style = getComputedStyle(root);
    const token = (name, other) => style.getPropertyValue(name).trim() || other;
    const zoomed = Math.max(1, at.zoom / fitZoom());
    const size = Math.min(13, Math.max(2.2, Math.min(8, Math.sqrt((0.2 * width() * height()) / Math.max(1, colours.length)))) * zoomed ** 0.25);
    return {
      x: at.x, y: at.y, zoom: at.zoom, morph: at.morph - Math.min(Math.floor(at.morph), Math.max(places.length - 2, 0)),
      width: width(), height: height(), ratio, size, alpha: size > 4 ? 0.82 : 0.7,
      dim: model.view.selected || model.view.rings.length ? 0.16 : 1,
      density: isDense(), most: extent.crowded / at.zoom ** 2,
      lines: edges ? countAbove(edges.cosines, at.phi) : 0, plain: model.view.colours.masked, marked: model.view.colours.human,
      font: token("--st-font", "sans-serif"),
      colours: { ink: token("--st-text-color", "#222222"), paper: token("--st-background-color", "#ffffff"), accent: token("--st-primary-color", "#0069A5") },
    };
  }

  function drawNow() {
    if (!scene || !colours || !mask || !places.length || !model.view) return;
    ends();
    const view = look();
    scene.draw(view);
    drawOverlay(parts.overlay.getContext("2d"), overlayOf(view));
    mark();
    parts.density.setAttribute("aria-pressed", String(view.density));
    if (!at.told) { scene.finish(); at.told = true; }
    Object.assign(root.dataset, { drawn: colours.length, selected: model.view.selected, centre: `${at.x},${at.y}`, zoom: at.zoom, morph: at.morph, density: view.density, pairs: view.lines, lines: model.view.lines.length });
  }

  function overlayOf(view) {
    const shown = at.morph === 0 ? model.view.labels : [];
    return { ...view, lines: model.view.lines, rings: model.view.rings, labels: shown, crosshair: at.crosshair, fromData, toScreen: (index) => fromData(...placeOf(index)) };
  }

  // ---- hovering ---------------------------------------------------------------------------------------------

  function hover(index) {
    if (index === at.hovered) return;
    at.hovered = index;
    clearTimeout(askTimer);
    if (index !== null && !model.texts.has(index)) askTimer = setTimeout(() => model.ask?.(index), ASK_AFTER_MS);
    tell();
    mark();
  }

  function tell() {
    const known = at.hovered === null ? null : model.texts.get(at.hovered);
    parts.tip.hidden = !known;
    root.dataset.hovered = known ? at.hovered : "";
    if (!known) return;
    parts.tipHead.textContent = known.role;
    parts.tipText.textContent = known.text;
    parts.tipMore.textContent = known.detail;
    parts.status.textContent = `${known.role}: ${known.text}. ${known.detail}`;
    const [left, top] = fromData(...placeOf(at.hovered));
    const tip = parts.tip;
    tip.style.left = `${Math.max(8, Math.min(left + 14, width() - tip.offsetWidth - 8))}px`;
    tip.style.top = `${top + 16 + tip.offsetHeight > height() ? Math.max(8, top - tip.offsetHeight - 14) : top + 16}px`;
  }

  // ---- pointer ----------------------------------------------------------------------------------------------

  function spot(event) {
    const box = parts.overlay.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  parts.overlay.onpointerdown = (event) => {
    if (event.button !== 0 || !colours) return;
    parts.overlay.setPointerCapture(event.pointerId);
    at.crosshair = false;
    const tool = event.shiftKey && at.tool === "pan" ? "lasso" : at.tool;
    at.dragging = { tool, from: spot(event), last: spot(event), moved: false };
    at.region = [];
  };

  parts.overlay.onpointermove = (event) => {
    if (!colours) return;
    const here = spot(event);
    const drag = at.dragging;
    if (!drag) {
      at.pointer = here;
      at.picking ??= requestAnimationFrame(() => { at.picking = undefined; hover(nearest(...at.pointer, PICK_PIXELS)); });
      return;
    }
    const [dx, dy] = [here[0] - drag.last[0], here[1] - drag.last[1]];
    drag.moved ||= Math.hypot(here[0] - drag.from[0], here[1] - drag.from[1]) > 3;
    if (drag.tool === "pan") {
      at.x -= dx / at.zoom;
      at.y += dy / at.zoom;
      drag.last = here;
    } else if (drag.tool === "box") {
      const [x, y] = drag.from;
      at.region = [[x, y], [here[0], y], here, [x, here[1]]];
    } else {
      if (!at.region.length) at.region.push(drag.from);
      if (Math.hypot(dx, dy) >= LEAST_STEP_PIXELS) { at.region.push(here); drag.last = here; }
    }
    if (drag.moved) hover(null);
    if (drag.tool === "pan") redraw();
    else mark();
  };

  parts.overlay.onpointerup = (event) => {
    const drag = at.dragging;
    at.dragging = null;
    if (!drag) return;
    if (!drag.moved) choose(nearest(...spot(event), PICK_PIXELS));
    else if (drag.tool !== "pan" && at.region.length > 2) send(event);
    at.region = [];
    mark();
  };

  parts.overlay.onpointercancel = () => { Object.assign(at, { dragging: null, region: [] }); redraw(); };
  parts.overlay.onpointerleave = () => { if (!at.dragging) hover(null); };

  parts.overlay.addEventListener("wheel", (event) => {
    if (!colours) return;
    event.preventDefault();
    zoomBy(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0018)), ...spot(event));
    tell();
  }, { passive: false });

  function send(event) {
    // Seven digits are what a float32 place holds.
    const polygon = at.region.map(([left, top]) => toData(left, top).map((value) => Number(value.toPrecision(8))));
    const how = event.ctrlKey || event.metaKey ? "add" : event.altKey ? "remove" : "replace";
    component?.setTriggerValue("region", { polygon, how, morph: at.morph, hidden: [...at.hidden] });
  }

  function choose(index) {
    if (index === null && model.view.chosen === null) return;
    component?.setTriggerValue("choice", { index });
  }

  // ---- keyboard ---------------------------------------------------------------------------------------------

  const keys = {
    ArrowLeft: () => { at.x -= 60 / at.zoom; }, ArrowRight: () => { at.x += 60 / at.zoom; },
    ArrowUp: () => { at.y += 60 / at.zoom; }, ArrowDown: () => { at.y -= 60 / at.zoom; },
    "+": () => zoomBy(1.4), "=": () => zoomBy(1.4), "-": () => zoomBy(1 / 1.4), 0: fit,
    p: () => setTool("pan"), b: () => setTool("box"), l: () => setTool("lasso"), d: () => { at.density = !isDense(); },
    Enter: () => choose(at.hovered),
    Escape: () => {
      if (at.region.length) Object.assign(at, { region: [], dragging: null });
      else component?.setTriggerValue("clear", { at: Date.now() });
    },
  };

  parts.overlay.onkeydown = (event) => {
    const act = keys[event.key];
    if (!act || !colours || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    at.crosshair = true;
    act();
    // The point under the crosshair is read out: the map can be walked without seeing it.
    if (event.key !== "Escape") hover(nearest(width() / 2, height() / 2, 40));
    redraw();
  };
  parts.overlay.onblur = () => { at.crosshair = false; redraw(); };

  function setTool(name) {
    at.tool = name;
    for (const [tool, button] of Object.entries(parts.tools)) button.setAttribute("aria-pressed", String(tool === name));
    parts.overlay.style.cursor = name === "pan" ? "grab" : "crosshair";
  }

  // ---- tools, legend, sliders -------------------------------------------------------------------------------

  for (const [tool, button] of Object.entries(parts.tools)) button.onclick = () => setTool(tool);
  parts.plus.onclick = () => zoomBy(1.6);
  parts.minus.onclick = () => zoomBy(1 / 1.6);
  parts.fit.onclick = fit;
  parts.density.onclick = () => { at.density = !isDense(); redraw(); };
  parts.png.onclick = async () => savePicture(await asPng(pictures(), look(), legend()), "map.png");
  parts.svg.onclick = () => {
    const view = look();
    const canvas = pictures()[0];
    savePicture(asSvg({ ...overlayOf(view), alpha: view.alpha }, legend(), inSight(), canvas.toDataURL()), "map.svg");
  };
  setTool("pan");

  // A drawing buffer is emptied after the frame, so the picture is drawn and read in one go, at twice the size.
  function pictures() {
    const before = [parts.points.width, parts.points.height];
    const scale = 2 * before[0];
    for (const canvas of [parts.points, parts.overlay]) [canvas.width, canvas.height] = [scale, 2 * before[1]];
    at.crosshair = false;
    const view = look(scale / width());
    scene.draw(view);
    drawOverlay(parts.overlay.getContext("2d"), overlayOf(view));
    const copies = [parts.points, parts.overlay].map((canvas) => {
      const copy = document.createElement("canvas");
      [copy.width, copy.height] = [canvas.width, canvas.height];
      copy.getContext("2d").drawImage(canvas, 0, 0);
      return copy;
    });
    resize();
    drawNow();
    return copies;
  }

  function inSight() {
    const found = [];
    for (let k = 0; k < colours.length && found.length <= MOST_CIRCLES; k++) {
      if (!isShown(k)) continue;
      const [left, top] = fromData(...placeOf(k));
      if (left >= 0 && top >= 0 && left <= width() && top <= height()) found.push([left, top, model.view.palette[colours[k]]]);
    }
    return found;
  }

  function legend() {
    const { title, entries } = model.view.legend;
    const shown = entries.filter(([, , , index]) => !at.hidden.has(index));
    return { title, entries: shown };
  }

  function controls(view) {
    parts.stage.style.height = `${view.height}px`;
    parts.overlay.setAttribute("aria-label", view.alt);
    legendParts(view.legend);
    parts.morph.hidden = view.places.length < 2;
    if (!parts.morph.hidden) {
      Object.assign(parts.morphRange, { min: 0, max: view.places.length - 1, step: 0.01, value: at.morph });
      morphWords(view);
    }
    parts.phi.hidden = !view.phi || !edges;
    if (!parts.phi.hidden) {
      at.phi ??= view.phi.value;
      at.phi = Math.max(at.phi, view.phi.floor);
      Object.assign(parts.phiRange, { min: view.phi.floor, max: 1, step: 0.005, value: at.phi });
      phiWords(view);
    }
    if (uploaded.counted !== view.selected) {
      uploaded.counted = view.selected;
      parts.status.textContent = `${view.selected.toLocaleString("en")} of ${view.count.toLocaleString("en")} points selected`;
    }
  }

  function legendParts(given) {
    const key = JSON.stringify(given) + [...at.hidden];
    if (uploaded.legend === key) return;
    if (uploaded.legendTitle !== given.title) at.hidden.clear();
    Object.assign(uploaded, { legend: key, legendTitle: given.title });
    const rows = given.entries.map(([label, colour, count, index]) => {
      const row = element(index === null ? "div" : "button", "entry");
      row.append(Object.assign(element("span", "dot"), { style: `background:${colour}` }), text("span", label, "label"));
      if (count !== null) row.append(text("span", count.toLocaleString("en"), "count"));
      if (index !== null) {
        row.type = "button";
        row.title = "Hide or show";
        row.setAttribute("aria-pressed", String(!at.hidden.has(index)));
        row.onclick = () => {
          at.hidden.has(index) ? at.hidden.delete(index) : at.hidden.add(index);
          row.setAttribute("aria-pressed", String(!at.hidden.has(index)));
          paint();
          redraw();
        };
      }
      return row;
    });
    parts.legend.replaceChildren(text("div", given.title, "title"), ...rows);
  }

  function morphWords(view) {
    const [low, t] = [Math.floor(at.morph), at.morph % 1];
    const words = t === 0 ? view.places[low] : `${view.places[low]} → ${view.places[low + 1]}, ${Math.round(100 * t)}%`;
    parts.morphText.textContent = words;
    parts.morphRange.setAttribute("aria-valuetext", words);
  }

  parts.morphRange.oninput = () => {
    at.morph = Number(parts.morphRange.value);
    morphWords(model.view);
    hover(null);
    redraw();
  };

  function phiWords(view) {
    const count = countAbove(edges.cosines, at.phi);
    let [marked, own] = [0, 0];
    for (let k = 0; k < count; k++) {
      marked += edges.flags[k] & 1;
      own += edges.flags[k] >> 1;
    }
    // A premise always meets its own hard negative; two other triplets meet by chance.
    const { triplets, batch } = view.phi;
    const met = (own * batch) / triplets + (triplets > 1 ? ((count - own) * batch * (batch - 1)) / (triplets * (triplets - 1)) : 0);
    const expected = met >= 10 ? Math.round(met).toLocaleString("en") : met.toFixed(1);
    const words = `φ = ${at.phi.toFixed(3)}: ${count.toLocaleString("en")} pairs masked, ${own.toLocaleString("en")} of them own hard negatives; about ${expected} in a batch of ${batch}` + (marked ? `; ${marked.toLocaleString("en")} called duplicate` : "");
    parts.phiText.textContent = words;
    parts.phiRange.setAttribute("aria-valuetext", words);
  }

  parts.phiRange.oninput = () => {
    at.phi = Number(parts.phiRange.value);
    phiWords(model.view);
    redraw();
  };
  parts.phiRange.onchange = () => component?.setStateValue("phi", at.phi);

  parts.points.addEventListener("webglcontextlost", (event) => event.preventDefault());
  parts.points.addEventListener("webglcontextrestored", () => {
    Object.assign(uploaded, { places: "", colour: "", mask: "", edges: "", palette: "", ends: "" });
    scene = openScene();
    update();
  });

  function destroy() {
    observer.disconnect();
    cancelAnimationFrame(frame);
    clearTimeout(askTimer);
    scene?.release();
    root.replaceChildren();
  }

  return { update, tell, destroy };
}

// ---- elements ---------------------------------------------------------------------------------------------------

function element(name, className) {
  return Object.assign(document.createElement(name), { className });
}

function text(name, content, className) {
  return Object.assign(element(name, className), { textContent: content });
}

function button(label, title) {
  return Object.assign(text("button", label, "tool"), { type: "button", title, ariaLabel: title });
}

function slider(name) {
  const row = element("label", "slider");
  const range = Object.assign(element("input", ""), { type: "range", ariaLabel: name });
  const words = element("span", "value");
  row.append(text("span", name, "name"), range, words);
  return [row, range, words];
}

function build(root) {
  const stage = element("div", "stage");
  const [points, overlay] = [element("canvas", "points"), element("canvas", "overlay")];
  overlay.tabIndex = 0;
  overlay.setAttribute("role", "application");
  overlay.setAttribute("aria-roledescription", "map of sentences");
  const bar = element("div", "bar");
  bar.setAttribute("role", "toolbar");
  bar.setAttribute("aria-label", "Map tools");
  const tools = Object.fromEntries(TOOLS.map(([tool, label, title]) => [tool, button(label, title)]));
  const [plus, minus, fit] = [button("+", "Zoom in (+)"), button("−", "Zoom out (-)"), button("Fit", "Show all points (0)")];
  const [density, png, svg] = [button("Density", "Density or single points (D)"), button("PNG", "Save this view as PNG"), button("SVG", "Save this view as SVG")];
  bar.append(...Object.values(tools), plus, minus, fit, density, png, svg);
  const [tip, legend, status, note] = [element("div", "tip"), element("div", "legend"), element("div", "status"), element("div", "note")];
  const [tipHead, tipText, tipMore] = [element("div", "head"), element("div", "sentence"), element("div", "more")];
  tip.append(tipHead, tipText, tipMore);
  tip.hidden = true;
  status.setAttribute("role", "status");
  const [morph, morphRange, morphText] = slider("Before and after");
  const [phi, phiRange, phiText] = slider("Mask threshold φ");
  morph.hidden = phi.hidden = true;
  const [pen, region, ...hovered] = [node("svg", { class: "pen", "aria-hidden": "true" }), node("polygon", {}), node("circle", { class: "halo" }), node("circle", {})];
  pen.append(region, ...hovered);
  stage.append(points, overlay, pen, bar, legend, tip, note);
  root.replaceChildren(stage, morph, phi, status);
  return { stage, points, overlay, region, hovered, tools, plus, minus, fit, density, png, svg, tip, tipHead, tipText, tipMore, legend, status, note, morph, morphRange, morphText, phi, phiRange, phiText };
}
