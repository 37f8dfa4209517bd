// The elements of the map; every text is set as text.

const TOOLS = [
  ["pan", "Pan", "Drag to move, wheel to zoom (P)"],
  ["box", "Box", "Select a box (B)"],
  ["lasso", "Lasso", "Select by drawing around points (L)"],
];

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
  const [bar, buttons] = toolbar();
  const [tip, tipParts] = tooltip();
  const [legend, status, note] = [element("div", "legend"), element("div", "status"), element("div", "note")];
  status.setAttribute("role", "status");
  const [morph, morphRange, morphText] = slider("Before and after");
  const [phi, phiRange, phiText] = slider("Mask threshold φ");
  morph.hidden = phi.hidden = true;
  const region = node("polygon", {});
  const hovered = [node("circle", { class: "halo" }), node("circle", {})];
  const pen = node("svg", { class: "pen", "aria-hidden": "true" });
  pen.append(region, ...hovered);
  stage.append(points, overlay, pen, bar, legend, tip, note);
  root.replaceChildren(stage, morph, phi, status);
  const sliders = { morph, morphRange, morphText, phi, phiRange, phiText };
  return { stage, points, overlay, region, hovered, tip, legend, status, note, ...buttons, ...tipParts, ...sliders };
}

function toolbar() {
  const bar = element("div", "bar");
  bar.setAttribute("role", "toolbar");
  bar.setAttribute("aria-label", "Map tools");
  const tools = Object.fromEntries(TOOLS.map(([tool, label, title]) => [tool, button(label, title)]));
  const others = {
    plus: button("+", "Zoom in (+)"), minus: button("−", "Zoom out (-)"), fit: button("Fit", "Show all points (0)"),
    density: button("Density", "Density or single points (D)"),
    png: button("PNG", "Save this view as PNG"), svg: button("SVG", "Save this view as SVG"),
  };
  bar.append(...Object.values(tools), ...Object.values(others));
  return [bar, { tools, ...others }];
}

function tooltip() {
  const tip = element("div", "tip");
  const parts = { tipHead: element("div", "head"), tipText: element("div", "sentence"), tipMore: element("div", "more") };
  tip.append(...Object.values(parts));
  tip.hidden = true;
  return [tip, parts];
}
