// The (a, b) plane of a judge: how many triplets lie where, and the three thresholds as lines to drag or to move by key.
// A moved line is told when it is let go of; until then the kept share is counted here, from the middles of the cells.

const TOP = 5;
const MARGIN = { left: 52, right: 26, top: 24, bottom: 46 };
const WIDEST = 620;
const SVG = "http://www.w3.org/2000/svg";

function node(name, attributes, content) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (content !== undefined) made.textContent = content;
  return made;
}

// a >= alpha, b <= beta, a >= b + gamma
const keeps = ({ alpha, beta, gamma }, a, b) => a >= alpha && b <= beta && a >= b + gamma;

// The corner of the square that alpha and beta leave, cut by the line b = a - gamma.
function keptCorners({ alpha, beta, gamma }) {
  const square = [[alpha, 0], [TOP, 0], [TOP, beta], [alpha, beta]];
  const room = ([a, b]) => a - b - gamma;
  const corners = [];
  square.forEach((from, place) => {
    const to = square[(place + 1) % 4];
    if (room(from) >= 0) corners.push(from);
    if (room(from) * room(to) < 0) {
      const part = room(from) / (room(from) - room(to));
      corners.push([from[0] + part * (to[0] - from[0]), from[1] + part * (to[1] - from[1])]);
    }
  });
  return corners;
}

const LINES = {
  alpha: { letter: "α", low: 0, high: TOP, at: (a) => a, says: "minimum score of the positive", ends: (v) => [[v, 0], [v, TOP]] },
  beta: { letter: "β", low: 0, high: TOP, at: (a, b) => b, says: "maximum score of the hard negative", ends: (v) => [[0, v], [TOP, v]] },
  gamma: {
    letter: "γ", low: -TOP, high: TOP, at: (a, b) => a - b, says: "minimum gap between the two",
    ends: (v) => [[Math.max(0, v), Math.max(0, -v)], [Math.min(TOP, TOP + v), Math.min(TOP, TOP - v)]],
  },
};

function createPlane(root) {
  const picture = node("svg", { class: "picture", role: "group", "aria-label": "Judged triplets and the part the rule keeps" });
  const words = Object.assign(document.createElement("div"), { className: "words" });
  words.setAttribute("role", "status");
  root.replaceChildren(picture, words);
  let component = null;
  let rule = null;
  let dragged = null;
  let side = 0;

  const x = (a) => MARGIN.left + (a / TOP) * side;
  const y = (b) => MARGIN.top + (1 - b / TOP) * side;
  const points = (corners) => corners.map(([a, b]) => `${x(a)},${y(b)}`).join(" ");

  function draw() {
    const width = Math.min(root.clientWidth || WIDEST, WIDEST);
    side = width - MARGIN.left - MARGIN.right;
    const height = side + MARGIN.top + MARGIN.bottom;
    Object.entries({ width, height, viewBox: `0 0 ${width} ${height}` }).forEach(([key, value]) => picture.setAttribute(key, value));
    picture.replaceChildren(node("polygon", { class: "kept" }), axes(), cells(), ...Object.keys(LINES).map(line));
    place();
  }

  function axes() {
    const group = node("g", { class: "axes" });
    for (let tick = 0; tick <= TOP; tick++) {
      group.append(
        node("line", { x1: x(tick), x2: x(tick), y1: y(0), y2: y(TOP) }),
        node("line", { x1: x(0), x2: x(TOP), y1: y(tick), y2: y(tick) }),
        node("text", { x: x(tick), y: y(0) + 17, "text-anchor": "middle" }, tick),
        node("text", { x: x(0) - 8, y: y(tick) + 4, "text-anchor": "end" }, tick),
      );
    }
    const [middle, left] = [x(TOP / 2), 14];
    group.append(
      node("text", { class: "title", x: middle, y: y(0) + 38, "text-anchor": "middle" }, component.data.labels[0]),
      node("text", { class: "title", transform: `translate(${left} ${y(TOP / 2)}) rotate(-90)`, "text-anchor": "middle" }, component.data.labels[1]),
    );
    return group;
  }

  function cells() {
    const { bins, cells: filled, cell: chosen } = component.data;
    const size = side / bins;
    const most = Math.log1p(Math.max(1, ...filled.map(([, , count]) => count)));
    const group = node("g", { class: "cells" });
    for (const [i, j, count] of filled) {
      const [a, b] = [(i * TOP) / bins, (j * TOP) / bins];
      const strength = Math.round(25 + (75 * Math.log1p(count)) / most);
      const cell = node("rect", { x: x(a), y: y(b) - size, width: size, height: size, style: `--strength: ${strength}%` });
      cell.classList.toggle("chosen", chosen?.[0] === i && chosen?.[1] === j);
      cell.append(node("title", {}, `a ${a.toFixed(2)} to ${(a + TOP / bins).toFixed(2)}, b ${b.toFixed(2)} to ${(b + TOP / bins).toFixed(2)}: ${count.toLocaleString("en")} triplets, click for them`));
      cell.onclick = () => component.setStateValue("cell", cell.classList.contains("chosen") ? null : [i, j]);
      group.append(cell);
    }
    return group;
  }

  function line(name) {
    const { letter, low, high, says } = LINES[name];
    const group = node("g", { class: `threshold ${name}`, tabindex: 0, role: "slider", "aria-label": `${letter}, ${says}`, "aria-valuemin": low, "aria-valuemax": high });
    group.append(node("line", { class: "grip" }), node("line", { class: "stroke" }), node("text", {}, letter));
    group.onpointerdown = (event) => { dragged = name; group.setPointerCapture(event.pointerId); event.preventDefault(); group.focus(); };
    group.onpointermove = (event) => { if (dragged === name) move(name, valueAt(name, event)); };
    group.onpointerup = () => { if (dragged) { dragged = null; tell(); } };
    group.onpointercancel = () => { dragged = null; rule = { ...component.data.rule }; place(); };
    group.onkeydown = (event) => {
      const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
      if (!steps) return;
      event.preventDefault();
      event.stopPropagation();
      move(name, rule[name] + steps * component.data.step);
      tell();
    };
    return group;
  }

  function valueAt(name, event) {
    const box = picture.getBoundingClientRect();
    const a = ((event.clientX - box.left - MARGIN.left) / side) * TOP;
    const b = (1 - (event.clientY - box.top - MARGIN.top) / side) * TOP;
    return LINES[name].at(a, b);
  }

  function move(name, value) {
    const { low, high } = LINES[name];
    const stepped = Math.round(value / component.data.step) * component.data.step;
    rule = { ...rule, [name]: Number(Math.min(high, Math.max(low, stepped)).toFixed(4)) };
    place();
  }

  // Lines, region and words for the rule as it is just now.
  function place() {
    picture.querySelector(".kept").setAttribute("points", points(keptCorners(rule)));
    for (const [name, { ends, letter }] of Object.entries(LINES)) {
      const group = picture.querySelector(`.${name}`);
      const [[a0, b0], [a1, b1]] = ends(rule[name]);
      const where = { x1: x(a0), y1: y(b0), x2: x(a1), y2: y(b1) };
      group.querySelectorAll("line").forEach((part) => Object.entries(where).forEach(([key, value]) => part.setAttribute(key, value)));
      const isRight = a1 >= TOP && b1 < TOP;
      const label = group.querySelector("text");
      Object.entries({ x: x(a1) + (isRight ? 6 : -5), y: y(b1) + (isRight ? 5 : -7) }).forEach(([key, value]) => label.setAttribute(key, value));
      group.setAttribute("aria-valuenow", rule[name]);
      group.setAttribute("aria-valuetext", `${letter} ${rule[name].toFixed(2)}`);
    }
    words.textContent = dragged ? told() : "Drag a line, or focus it and press the arrow keys. Click a cell for its triplets.";
  }

  function told() {
    const { bins, cells: filled } = component.data;
    let [kept, all] = [0, 0];
    for (const [i, j, count] of filled) {
      all += count;
      if (keeps(rule, ((i + 0.5) * TOP) / bins, ((j + 0.5) * TOP) / bins)) kept += count;
    }
    const values = Object.entries(LINES).map(([name, { letter }]) => `${letter} ${rule[name].toFixed(2)}`).join("  ");
    return `${values}  keeps about ${kept.toLocaleString("en")} of ${all.toLocaleString("en")}`;
  }

  // The mark makes the same values another message: sliders may have moved the rule in between.
  const tell = () => component.setStateValue("rule", { ...rule, moved: Date.now() });
  const resized = new ResizeObserver(() => component && draw());
  resized.observe(root);

  return {
    show(given) {
      component = given;
      if (dragged) return;
      const focused = [...picture.querySelectorAll(".threshold")].findIndex((group) => group.matches(":focus"));
      rule = { ...given.data.rule };
      draw();
      picture.querySelectorAll(".threshold")[focused]?.focus();
    },
    destroy: () => resized.disconnect(),
  };
}

const planes = new WeakMap();

export default function (component) {
  const root = component.parentElement.querySelector(".score-plane");
  if (!planes.has(root)) planes.set(root, createPlane(root));
  planes.get(root).show(component);
  return () => {
    planes.get(root)?.destroy();
    planes.delete(root);
  };
}
