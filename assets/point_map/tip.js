// The sentence under the pointer or the cross: asked for by number, shown beside its point, read out.

const ASK_AFTER_MS = 60;

function createTip(map) {
  const { at, camera, model, parts, root } = map;
  let timer = 0;

  function hover(index) {
    if (index === at.hovered) return;
    at.hovered = index;
    clearTimeout(timer);
    if (index !== null && !model.texts.has(index)) timer = setTimeout(() => model.ask?.(index), ASK_AFTER_MS);
    tell();
    map.mark();
  }

  function tell() {
    const known = at.hovered === null ? null : model.texts.get(at.hovered);
    const { tip } = parts;
    tip.hidden = !known;
    root.dataset.hovered = known ? at.hovered : "";
    if (!known) return;
    parts.tipHead.textContent = known.role;
    parts.tipText.textContent = known.text;
    parts.tipMore.textContent = known.detail;
    parts.status.textContent = `${known.role}: ${known.text}. ${known.detail}`;
    const [left, top] = map.toScreen(at.hovered);
    tip.style.left = `${Math.max(8, Math.min(left + 14, camera.width() - tip.offsetWidth - 8))}px`;
    const isLow = top + 16 + tip.offsetHeight > camera.height();
    tip.style.top = `${isLow ? Math.max(8, top - tip.offsetHeight - 14) : top + 16}px`;
  }

  return { hover, tell, release: () => clearTimeout(timer) };
}
