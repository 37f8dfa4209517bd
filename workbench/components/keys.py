"""The list of keys, which `?` opens on every page."""

from typing import Final

import streamlit as st

from workbench.actions import call
from workbench.components.visit import STEPS, begin_visit
from workbench.paths import ASSETS
from workbench.workspace import Workspace

Keys = tuple[tuple[str, str], ...]
"""Key and what it does."""

QUEUE: Final[Keys] = (
    ("A", "accept"),
    ("X", "reject"),
    ("1 to 5", "reject with the reason of this number"),
    ("S", "swap positive and hard negative"),
    ("E", "edit; Ctrl+Enter saves, Esc leaves the text as it was"),
    ("N", "skip"),
    ("P", "regenerate the positive"),
    ("G", "regenerate the hard negative"),
    ("U", "use the regenerated sentence"),
    ("Z", "undo"),
    ("Y", "redo"),
)
_RULE: Final[Keys] = (("Tab", "go to a line of the plane"), ("Arrow keys", "move it"))
_MAP: Final[Keys] = (
    ("Tab", "go to the map"),
    ("Arrow keys", "move; the sentence at the centre is read out"),
    ("+, -, 0", "closer, farther, everything"),
    ("P, B, L", "drag moves, draws a box, draws a lasso"),
    ("D", "density instead of points"),
    ("Enter", "choose the sentence at the centre"),
    ("Esc", "clear selection and choice"),
)
_BLIND: Final[Keys] = (
    ("1, 2", "prefer this reply"),
    ("0", "no preference"),
    ("N", "skip"),
    ("Z", "take the last vote back"),
)
_EVERYWHERE: Final[Keys] = (
    ("Tab, Shift+Tab", "go to the next or previous control"),
    ("Left, Right", "go along the views of a page"),
    ("Esc", "close what has opened"),
    ("?", "this list"),
)
_OF_PAGE: Final[dict[str, dict[str, Keys]]] = {
    "Generate": {"Contrast, blind test": _BLIND},
    "Curate": {"Queue": QUEUE, "Rule": _RULE},
    "Embedding map": {"The map": _MAP},
}
_LISTENER: Final = st.components.v2.component("keys", js=(ASSETS / "keys.js").read_text(encoding="utf-8"))


def keys_button(workspace: Workspace, title: str) -> None:
    """Draw the button that lists the keys of the page with this title, which `?` presses."""
    with st.sidebar.container(gap=None, key="keys"):
        asked = st.button("Keys", icon=":material/keyboard:", type="tertiary", help="Or press ?")
        _LISTENER(key="keys_listener")
    if asked:
        _keys(workspace, title)


@st.dialog("Keys", width="medium")
def _keys(workspace: Workspace, title: str) -> None:
    for name, keys in {**_OF_PAGE.get(title, {}), "Every page": _EVERYWHERE}.items():
        rows = "\n".join(
            f"| {', '.join(f'`{key}`' for key in listed.split(', '))} | {what} |" for listed, what in keys
        )
        st.markdown(f"**{name}**\n\n| Key | What it does |\n|---|---|\n{rows}")
    if call.role_of_caller() == "owner" and st.button(
        f"Take the guided visit of {len(STEPS)} steps", icon=":material/tour:", key="visit_again"
    ):
        begin_visit(workspace)
