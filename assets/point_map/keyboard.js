// The map by keyboard alone: arrows walk, the point under the cross is read out, Enter chooses it.

const STEP_PIXELS = 60;
const REACH_PIXELS = 40;

function attachKeyboard(map) {
  const { at, camera, parts } = map;
  const zoomIn = () => camera.zoomBy(1.4);
  const keys = {
    ArrowLeft: () => camera.move(-STEP_PIXELS, 0), ArrowRight: () => camera.move(STEP_PIXELS, 0),
    ArrowUp: () => camera.move(0, STEP_PIXELS), ArrowDown: () => camera.move(0, -STEP_PIXELS),
    "+": zoomIn, "=": zoomIn, "-": () => camera.zoomBy(1 / 1.4), 0: () => camera.fit(),
    p: () => map.setTool("pan"), b: () => map.setTool("box"), l: () => map.setTool("lasso"), d: map.toggleDensity,
    Enter: () => map.choose(at.hovered),
    Escape: () => {
      if (at.region.length) Object.assign(at, { region: [], dragging: null });
      else map.trigger("clear", { at: Date.now() });
    },
  };

  parts.overlay.onkeydown = (event) => {
    const act = keys[event.key];
    if (!act || !map.isReady() || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    at.crosshair = true;
    act();
    if (event.key !== "Escape") map.tip.hover(map.nearest(camera.width() / 2, camera.height() / 2, REACH_PIXELS));
    map.redraw();
  };
  parts.overlay.onblur = () => { at.crosshair = false; map.redraw(); };
}
