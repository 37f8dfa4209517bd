// Where the map is looked at: centre and zoom (pixels per unit), between places of the map and pixels of the stage.

// Height of the row of tools that lies on the stage: a map that is fitted keeps its points below it.
const TOOLS_PX = 40;

function createCamera(stage) {
  const camera = { x: 0, y: 0, zoom: 1, width, height, fromData, toData, fitZoom, fit, zoomBy, move, goTo };
  let extent = null;

  function width() {
    return stage.clientWidth;
  }

  function height() {
    return stage.clientHeight;
  }

  function fromData(x, y) {
    return [(x - camera.x) * camera.zoom + width() / 2, height() / 2 - (y - camera.y) * camera.zoom];
  }

  function toData(left, top) {
    return [(left - width() / 2) / camera.zoom + camera.x, (height() / 2 - top) / camera.zoom + camera.y];
  }

  function fitZoom() {
    return extent ? 0.92 * Math.min(width() / extent.width, (height() - TOOLS_PX) / extent.height) : 1;
  }

  function fit(given) {
    extent = given ?? extent;
    const zoom = fitZoom();
    const y = extent.bottom + extent.height / 2 + TOOLS_PX / 2 / zoom;
    Object.assign(camera, { x: extent.left + extent.width / 2, y, zoom });
  }

  // The place under the pointer stays under it.
  function zoomBy(factor, left = width() / 2, top = height() / 2) {
    const [x, y] = toData(left, top);
    camera.zoom = Math.min(Math.max(camera.zoom * factor, fitZoom() / 4), fitZoom() * 20000);
    const [x2, y2] = toData(left, top);
    camera.x += x - x2;
    camera.y += y - y2;
  }

  function move(right, up) {
    camera.x += right / camera.zoom;
    camera.y += up / camera.zoom;
  }

  function goTo([x, y]) {
    Object.assign(camera, { x, y, zoom: Math.max(camera.zoom, fitZoom() * 4) });
  }

  return camera;
}
