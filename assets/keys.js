// "?" opens the list of keys, as its button in the sidebar does; not while somebody types or reads it already.

function openKeys(event) {
  if (event.key !== "?" || event.ctrlKey || event.metaKey || event.altKey) return;
  const at = event.composedPath()[0];
  if (at instanceof Element && at.closest("input, textarea, select, [contenteditable='true']")) return;
  if (!document.querySelector("[role=dialog]")) document.querySelector(".st-key-keys button")?.click();
}

let drawn = 0;

export default function () {
  // A page that is drawn anew may take its old listener away after it has set the new one, and the two are one
  // function: the key is let go only when nobody holds it any more.
  if (drawn++ === 0) document.addEventListener("keydown", openKeys);
  let held = true;
  return () => {
    if (held && --drawn === 0) document.removeEventListener("keydown", openKeys);
    held = false;
  };
}
