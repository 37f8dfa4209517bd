// The current view as a picture for a paper: PNG at twice the screen's resolution, or SVG with real circles and text.

const SVG = "http://www.w3.org/2000/svg";
const MOST_CIRCLES = 20000;

function savePicture(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// The view at twice the screen's resolution, points and overlay as canvases of their own.
function copiesOf(map) {
  map.at.crosshair = false;
  return map.drawAt(2, (canvases) => canvases.map((canvas) => {
    const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
    copy.getContext("2d").drawImage(canvas, 0, 0);
    return copy;
  }));
}

function shownLegend({ model, at }) {
  const { title, entries } = model.view.legend;
  return { title, entries: entries.filter(([, , , index]) => !at.hidden.has(index)) };
}

function pngOf(map) {
  return asPng(copiesOf(map), map.look(), shownLegend(map));
}

function svgOf(map) {
  const view = map.look();
  const image = copiesOf(map)[0].toDataURL();
  return asSvg({ ...map.overlayOf(view), alpha: view.alpha }, shownLegend(map), inSight(map), image);
}

// Place on the stage and colour of every shown point in sight; more than MOST_CIRCLES are drawn as an image.
function inSight(map) {
  const { camera, model, points } = map;
  const found = [];
  for (let k = 0; k < points.colours.length && found.length <= MOST_CIRCLES; k++) {
    if (!map.isShown(k)) continue;
    const [left, top] = map.toScreen(k);
    if (left < 0 || top < 0 || left > camera.width() || top > camera.height()) continue;
    found.push([left, top, model.view.palette[points.colours[k]]]);
  }
  return found;
}

function legendRows(legend) {
  return legend.entries.map(([label, colour, count]) => [count === null ? label : `${label} (${count.toLocaleString("en")})`, colour]);
}

function asPng(layers, view, legend) {
  const rows = legendRows(legend);
  const strip = 34 + 24 * (rows.length + 1);
  const target = document.createElement("canvas");
  const scale = layers[0].width / view.width;
  target.width = layers[0].width;
  target.height = layers[0].height + strip * scale;
  const context = target.getContext("2d");
  context.fillStyle = view.colours.paper;
  context.fillRect(0, 0, target.width, target.height);
  for (const layer of layers) context.drawImage(layer, 0, 0);
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.font = `600 15px ${view.font}`;
  context.fillStyle = view.colours.ink;
  context.textBaseline = "middle";
  context.fillText(legend.title, 14, view.height + 20);
  context.font = `14px ${view.font}`;
  rows.forEach(([label, colour], row) => {
    const top = view.height + 46 + 24 * row;
    context.fillStyle = colour;
    context.beginPath();
    context.arc(21, top, 6, 0, 2 * Math.PI);
    context.fill();
    context.fillStyle = view.colours.ink;
    context.fillText(label, 36, top);
  });
  return new Promise((resolve) => target.toBlob(resolve, "image/png"));
}

function asSvg(view, legend, points, pointsImage) {
  const rows = legendRows(legend);
  const height = view.height + 34 + 24 * (rows.length + 1);
  const root = node("svg", { xmlns: SVG, viewBox: `0 0 ${view.width} ${height}`, width: view.width, height, "font-family": "sans-serif" });
  root.append(node("rect", { width: view.width, height, fill: view.colours.paper }));
  if (points.length <= MOST_CIRCLES) {
    const group = node("g", { "fill-opacity": view.alpha.toFixed(2) });
    for (const [x, y, colour] of points) {
      group.append(node("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: (view.size / 2).toFixed(1), fill: colour }));
    }
    root.append(group);
  } else {
    root.append(node("image", { href: pointsImage, width: view.width, height: view.height }));
  }
  for (const [from, to, role, colour] of view.lines) {
    const [x1, y1] = view.toScreen(from);
    const [x2, y2] = view.toScreen(to);
    const look = LINE_LOOKS[role] ?? LINE_LOOKS.negative;
    root.append(node("line", { x1, y1, x2, y2, stroke: colour, "stroke-width": look.width, "stroke-dasharray": look.dash.join(" ") || "none" }));
  }
  for (const [x, y, text] of view.labels) {
    const [left, top] = view.fromData(x, y);
    if (left < 0 || top < 0 || left > view.width || top > view.height) continue;
    root.append(words(text, left, top, { "font-size": 13, "font-weight": 600, fill: view.colours.ink, "text-anchor": "middle" }));
  }
  root.append(words(legend.title, 14, view.height + 24, { "font-size": 15, "font-weight": 600, fill: view.colours.ink }));
  rows.forEach(([label, colour], row) => {
    const top = view.height + 46 + 24 * row;
    root.append(node("circle", { cx: 21, cy: top, r: 6, fill: colour }));
    root.append(words(label, 36, top + 5, { "font-size": 14, fill: view.colours.ink }));
  });
  return new Blob([new XMLSerializer().serializeToString(root)], { type: "image/svg+xml" });
}

function node(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function words(text, x, y, attributes) {
  const made = node("text", { x, y, ...attributes });
  made.textContent = text;
  return made;
}
