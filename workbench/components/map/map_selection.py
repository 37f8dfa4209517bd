"""What is selected and filtered on a map: kept per session and map as point numbers, found again on every rerun."""

from typing import Any

import numpy as np
import streamlit as st

from pipeline.analysis.polygon import inside
from workbench import state
from workbench.components.map.point_map import view_key
from workbench.map_files import SentenceMap

_COUNTER = "map_focus_counter"


def selected(map_id: str) -> np.ndarray:
    """Point numbers, in the order in which they were found."""
    return st.session_state.get(f"map_selected_{map_id}", np.zeros(0, dtype=np.int64))


def select(map_id: str, points: np.ndarray, *, note: str = "") -> None:
    """Replace the selection."""
    st.session_state[f"map_selected_{map_id}"] = np.asarray(points, dtype=np.int64)
    st.session_state[f"map_note_{map_id}"] = note


def note(map_id: str) -> str:
    """What the selection came from, where it was not drawn by hand."""
    return st.session_state.get(f"map_note_{map_id}", "")


def flags(count: int, points: np.ndarray) -> np.ndarray:
    """Point numbers as bool (count,)."""
    marked = np.zeros(count, dtype=bool)
    marked[points] = True
    return marked


def take_region(map_id: str, drawn: SentenceMap, shown: np.ndarray, indices: np.ndarray) -> None:
    """Select what lies in the region that the map just sent: shown points of colours that are not hidden."""
    sent = _sent(map_id, "region")
    if sent is None:
        return
    found = inside(drawn.places_at(float(sent["morph"])), np.array(sent["polygon"], dtype=np.float64))
    found &= shown & ~np.isin(indices, sent["hidden"])
    before = flags(len(drawn), selected(map_id))
    combined = {"add": before | found, "remove": before & ~found}.get(sent["how"], found)
    select(map_id, np.flatnonzero(combined))
    show(map_id, "Selected")


def take_choice(map_id: str, drawn: SentenceMap) -> None:
    """Choose the triplet of the point that was clicked, or none."""
    sent = _sent(map_id, "choice")
    if sent is not None:
        index = sent["index"]
        choose(None if index is None else str(drawn.points["triplet_id"].iat[index]))


def choose(triplet_id: str | None) -> None:
    """Choose a triplet; it is drawn with its lines."""
    state.remember(state.TRIPLET, triplet_id)


def clear(map_id: str) -> None:
    """Drop selection and choice."""
    select(map_id, np.zeros(0, dtype=np.int64))
    choose(None)


def focus(map_id: str, point: int) -> None:
    """Let the map go to a point in the next run."""
    st.session_state[_COUNTER] = st.session_state.get(_COUNTER, 0) + 1
    st.session_state[f"map_focus_{map_id}"] = {"index": int(point), "mark": st.session_state[_COUNTER]}


def focused(map_id: str) -> dict[str, int] | None:
    """Point to go to, with a mark that changes with every order to go."""
    return st.session_state.get(f"map_focus_{map_id}")


def show(map_id: str, tab: str) -> None:
    """Open a tab of the drawer in the next run."""
    st.session_state[f"map_next_tab_{map_id}"] = tab


def next_tab(map_id: str) -> str | None:
    """Tab to open now, once; the widget's own key may not be set after it was drawn."""
    return st.session_state.pop(f"map_next_tab_{map_id}", None)


def _sent(map_id: str, event: str) -> Any:
    return st.session_state.get(view_key(map_id), {}).get(event)
