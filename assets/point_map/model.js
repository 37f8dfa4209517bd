// One map on the page: what Python sent for it (layers as bytes, the view as JSON) and who listens.
// Layers, view and sentence texts arrive as separate elements, so that a change of one resends only that one.
// Two modules read this file (layers carry little code, as Streamlit sends code with every element): one registry.

const maps = (globalThis[Symbol.for("multicsr point maps")] ??= new Map());

function modelOf(id) {
  if (!maps.has(id)) maps.set(id, { layers: new Map(), texts: new Map(), view: null, ask: null, root: null, screen: null });
  return maps.get(id);
}

// Elements leave the page in any order: the last one takes the map's memory with it.
function forget(id) {
  const model = maps.get(id);
  if (model && !model.screen && !model.layers.size) maps.delete(id);
}

// Layout of a layer: length of the header (uint32), header as JSON, bytes.
function readLayer(bytes) {
  const length = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  return { header, content: bytes.slice(4 + length) };
}

function readPlaces(content) {
  return new Float32Array(content.buffer);
}

// Two bit sets, least bit first: shown by the filter, selected.
function readMask(content, count) {
  const half = Math.ceil(count / 8);
  const mask = new Uint8Array(count);
  for (let k = 0; k < count; k++) {
    const place = k >> 3;
    const bit = k & 7;
    mask[k] = ((content[place] >> bit) & 1) | (((content[half + place] >> bit) & 1) << 1);
  }
  return mask;
}

// Flags: 1 = people called the pair duplicates, 2 = a premise and its own hard negative.
function readEdges(content, count) {
  return {
    first: new Uint32Array(content.buffer, 0, count),
    second: new Uint32Array(content.buffer, 4 * count, count),
    cosines: new Float32Array(content.buffer, 8 * count, count),
    flags: new Uint8Array(content.buffer, 12 * count, count),
  };
}

// Pairs lie in falling order of their cosine: how many exceed phi.
function countAbove(cosines, phi) {
  let [low, high] = [0, cosines.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (cosines[middle] > phi) low = middle + 1;
    else high = middle;
  }
  return low;
}
