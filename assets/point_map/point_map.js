// Entry of the map itself. Streamlit calls it again whenever the view or the theme changes.

export default function (component) {
  const { data, parentElement } = component;
  const root = parentElement.querySelector(".point-map");
  const model = modelOf(data.map);
  model.view = data;
  if (model.root !== root) {
    model.screen?.destroy();
    Object.assign(model, { root, screen: createScreen(root, model) });
  }
  model.screen.update(component);
  return () => {
    if (model.root !== root) return;
    model.screen.destroy();
    Object.assign(model, { root: null, screen: null });
    forget(data.map);
  };
}
