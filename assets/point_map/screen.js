// The map as people use it: what Python sent, drawn; the parts that answer to pointer, keys and sliders hang on it.

const CROWD = 60000;

function createScreen(root, model) {
  const at = { morph: 0, tool: "pan", density: null, hovered: null, region: [], dragging: null, crosshair: false, hidden: new Set(), phi: null, focus: null, isFitted: false };
  const parts = build(root);
  // A canvas that changes its size waits for everything uploaded before: take the size first.
  parts.stage.style.height = `${model.view.height}px`;
  const camera = createCamera(parts.stage);
  const points = createPoints(model);
  let [scene, frame, component, palette] = [null, 0, null, ""];

  const map = {
    root, model, at, parts, camera, points,
    isReady: () => Boolean(scene && points.colours && points.mask && points.places.length && model.view),
    toScreen: (index) => camera.fromData(...points.placeOf(index, ends())),
    nearest: (left, top, pixels) => points.nearest(...camera.toData(left, top), pixels / camera.zoom, ends(), at.hidden),
    isShown: (index) => points.isShown(index, at.hidden),
    trigger: (name, value) => component?.setTriggerValue(name, value),
    setState: (name, value) => component?.setStateValue(name, value),
    drawAt, redraw, mark, paint, setTool, toggleDensity, choose, look, overlayOf,
  };
  map.tip = createTip(map);
  const controls = attachControls(map);
  attachPointer(map);
  attachKeyboard(map);
  setTool("pan");
  resize();
  scene = openScene();
  const observer = new ResizeObserver(() => { resize(); redraw(); });
  observer.observe(parts.stage);

  function openScene() {
    const made = createScene(parts.points);
    if (!made) parts.status.textContent = parts.note.textContent = "This browser has no WebGL 2, which the map needs.";
    return made;
  }

  function ends() {
    return points.ends(scene, at.morph);
  }

  function update(given) {
    component = given ?? component;
    if (!model.view || !scene) return;
    const change = points.update(scene, at);
    if (change === "incomplete") return;
    if (change === "moved") Object.assign(at, { hovered: null, isFitted: false });
    paint();
    controls.update();
    resize();
    if (!at.isFitted && parts.points.width > 1) {
      camera.fit(points.extent);
      at.isFitted = true;
    }
    const { focus } = model.view;
    if (focus && focus.mark !== at.focus) {
      at.focus = focus.mark;
      camera.goTo(points.placeOf(focus.index, ends()));
    }
    redraw();
  }

  // Colours of the indices; a hidden legend entry has none.
  function paint() {
    const key = JSON.stringify([model.view.palette, [...at.hidden]]);
    if (palette === key) return;
    palette = key;
    scene.setPalette(model.view.palette, at.hidden);
  }

  function resize() {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    setSize(Math.max(1, Math.round(camera.width() * ratio)), Math.max(1, Math.round(camera.height() * ratio)));
  }

  function setSize(width, height) {
    for (const canvas of [parts.points, parts.overlay]) {
      if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    }
  }

  function redraw() {
    if (!frame) frame = requestAnimationFrame(() => { frame = 0; drawNow(); });
  }

  function drawNow() {
    if (!map.isReady()) return;
    ends();
    const view = drawView();
    mark();
    parts.density.setAttribute("aria-pressed", String(view.density));
    if (!at.isTold) { scene.finish(); at.isTold = true; }
    Object.assign(root.dataset, { drawn: points.colours.length, selected: model.view.selected, centre: `${camera.x},${camera.y}`, zoom: camera.zoom, morph: at.morph, density: view.density, pairs: view.lines, lines: model.view.lines.length });
  }

  function drawView(ratio) {
    const view = look(ratio);
    scene.draw(view);
    drawOverlay(parts.overlay.getContext("2d"), overlayOf(view));
    return view;
  }

  // A drawing buffer is emptied after the frame, so a picture is drawn and read in one go, at a size of its own.
  function drawAt(scale, read) {
    setSize(scale * parts.points.width, scale * parts.points.height);
    drawView(parts.points.width / camera.width());
    const made = read([parts.points, parts.overlay]);
    resize();
    drawNow();
    return made;
  }

  // The hovered point and the drawn region are small shapes of their own: neither points nor names are drawn again.
  function mark() {
    parts.region.setAttribute("points", at.region.map((corner) => corner.map(Math.round).join()).join(" "));
    const place = at.hovered === null ? null : map.toScreen(at.hovered);
    for (const ring of parts.hovered) {
      ring.setAttribute("r", place ? 8 : 0);
      if (place) ["cx", "cy"].forEach((axis, k) => ring.setAttribute(axis, place[k]));
    }
  }

  function look(ratio = parts.points.width / camera.width()) {
    const style = getComputedStyle(root);
    const token = (name, other) => style.getPropertyValue(name).trim() || other;
    const { view } = model;
    const [width, height] = [camera.width(), camera.height()];
    const size = pointSize();
    return {
      x: camera.x, y: camera.y, zoom: camera.zoom, width, height, ratio, size, alpha: size > 4 ? 0.82 : 0.7,
      morph: at.morph - Math.min(Math.floor(at.morph), Math.max(points.places.length - 2, 0)),
      dim: view.selected || view.rings.length ? 0.16 : 1,
      density: isDense(), most: points.extent.crowded / camera.zoom ** 2,
      lines: points.edges ? countAbove(points.edges.cosines, at.phi) : 0, plain: view.colours.masked, marked: view.colours.human,
      font: token("--st-font", "sans-serif"),
      colours: { ink: token("--st-text-color", "#222222"), paper: token("--st-background-color", "#ffffff"), accent: token("--st-primary-color", "#0069A5") },
    };
  }

  // Discs cover a fifth of the stage when all are shown, and grow slowly with the zoom.
  function pointSize() {
    const area = (0.2 * camera.width() * camera.height()) / Math.max(1, points.colours.length);
    const zoomed = Math.max(1, camera.zoom / camera.fitZoom());
    return Math.min(13, Math.max(2.2, Math.min(8, Math.sqrt(area))) * zoomed ** 0.25);
  }

  // Many points in sight and crowded: the density says more than discs on discs.
  function isDense() {
    const share = Math.min(1, (camera.fitZoom() / camera.zoom) ** 2);
    return at.density ?? points.colours.length * share > CROWD;
  }

  function toggleDensity() {
    at.density = !isDense();
  }

  function overlayOf(view) {
    const { labels, lines, rings } = model.view;
    const { crosshair } = at;
    return { ...view, lines, rings, labels: at.morph === 0 ? labels : [], crosshair, fromData: camera.fromData, toScreen: map.toScreen };
  }

  function setTool(name) {
    at.tool = name;
    for (const [tool, button] of Object.entries(parts.tools)) button.setAttribute("aria-pressed", String(tool === name));
    parts.overlay.style.cursor = name === "pan" ? "grab" : "crosshair";
  }

  function choose(index) {
    if (index === null && model.view.chosen === null) return;
    map.trigger("choice", { index });
  }

  parts.points.addEventListener("webglcontextlost", (event) => event.preventDefault());
  parts.points.addEventListener("webglcontextrestored", () => {
    points.forgetUploads();
    palette = "";
    scene = openScene();
    update();
  });

  function destroy() {
    observer.disconnect();
    cancelAnimationFrame(frame);
    map.tip.release();
    scene?.release();
    root.replaceChildren();
  }

  return { update, tell: map.tip.tell, destroy };
}
