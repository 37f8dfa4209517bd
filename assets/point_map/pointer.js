// Mouse, pen and finger: pan, zoom, a drawn region, a chosen point.

const PICK_PIXELS = 9;
const LEAST_STEP_PIXELS = 4;

function attachPointer(map) {
  const { at, camera, parts } = map;
  const overlay = parts.overlay;

  function spot(event) {
    const box = overlay.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  overlay.onpointerdown = (event) => {
    if (event.button !== 0 || !map.isReady()) return;
    overlay.setPointerCapture(event.pointerId);
    at.crosshair = false;
    const tool = event.shiftKey && at.tool === "pan" ? "lasso" : at.tool;
    at.dragging = { tool, from: spot(event), last: spot(event), moved: false };
    at.region = [];
  };

  overlay.onpointermove = (event) => {
    if (!map.isReady()) return;
    const here = spot(event);
    if (at.dragging) return dragTo(here, at.dragging);
    at.pointer = here;
    at.picking ??= requestAnimationFrame(() => {
      at.picking = undefined;
      map.tip.hover(map.nearest(...at.pointer, PICK_PIXELS));
    });
  };

  function dragTo(here, drag) {
    const [dx, dy] = [here[0] - drag.last[0], here[1] - drag.last[1]];
    drag.moved ||= Math.hypot(here[0] - drag.from[0], here[1] - drag.from[1]) > 3;
    if (drag.tool === "pan") {
      camera.move(-dx, dy);
      drag.last = here;
    } else if (drag.tool === "box") {
      const [x, y] = drag.from;
      at.region = [[x, y], [here[0], y], here, [x, here[1]]];
    } else {
      if (!at.region.length) at.region.push(drag.from);
      if (Math.hypot(dx, dy) >= LEAST_STEP_PIXELS) { at.region.push(here); drag.last = here; }
    }
    if (drag.moved) map.tip.hover(null);
    if (drag.tool === "pan") map.redraw();
    else map.mark();
  }

  overlay.onpointerup = (event) => {
    const drag = at.dragging;
    at.dragging = null;
    if (!drag) return;
    if (!drag.moved) map.choose(map.nearest(...spot(event), PICK_PIXELS));
    else if (drag.tool !== "pan" && at.region.length > 2) send(event);
    at.region = [];
    map.mark();
  };

  overlay.onpointercancel = () => { Object.assign(at, { dragging: null, region: [] }); map.redraw(); };
  overlay.onpointerleave = () => { if (!at.dragging) map.tip.hover(null); };

  overlay.addEventListener("wheel", (event) => {
    if (!map.isReady()) return;
    event.preventDefault();
    camera.zoomBy(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0018)), ...spot(event));
    map.redraw();
    map.tip.tell();
  }, { passive: false });

  function send(event) {
    // Eight digits are more than a float32 place holds.
    const polygon = at.region.map(([left, top]) => camera.toData(left, top).map((value) => Number(value.toPrecision(8))));
    const how = event.ctrlKey || event.metaKey ? "add" : event.altKey ? "remove" : "replace";
    map.trigger("region", { polygon, how, morph: at.morph, hidden: [...at.hidden] });
  }
}
