// Entry of the small elements: a layer of bytes, or the answer to "what does this point say?".

export default function (component) {
  return component.data instanceof Uint8Array ? receiveLayer(component.data) : receiveText(component);
}

function receiveLayer(data) {
  const { header, content } = readLayer(data);
  const model = modelOf(header.map);
  const known = model.layers.get(header.layer);
  if (known?.header.version !== header.version) model.layers.set(header.layer, { header, content });
  model.screen?.update();
  return () => {
    if (model.layers.get(header.layer)?.header.version === header.version) model.layers.delete(header.layer);
    if (model.screen) model.screen.update();
    else forget(header.map);
  };
}

function receiveText({ data, setStateValue }) {
  const model = modelOf(data.map);
  model.ask = (index) => setStateValue("point", index);
  if (data.answer) {
    model.texts.set(data.answer.index, data.answer);
    model.screen?.tell();
  }
  return undefined;
}
