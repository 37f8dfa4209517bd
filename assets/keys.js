// "?" opens the list of keys, as its button in the sidebar does; not while somebody types or reads it already.

function openKeys(event) {
  if (event.key !== "?" || event.ctrlKey || event.metaKey || event.altKey) return;
  const at = event.composedPath()[0];
  if (at instanceof Element && at.closest("input, textarea, select, [contenteditable='true']")) return;
  if (!document.querySelector("[role=dialog]")) document.querySelector(".st-key-keys button")?.click();
}

export default function () {
  document.addEventListener("keydown", openKeys); // one function, so once, however often the page runs
  return () => document.removeEventListener("keydown", openKeys);
}
