"""Below the map: the rows of what is on it, filtered or selected, beside the chart of their colours."""

import numpy as np
import pandas as pd
import streamlit as st

from workbench import theme
from workbench.components.map import map_selection
from workbench.components.map.map_actions import selection_actions
from workbench.components.map.map_colours import Colouring
from workbench.components.map.map_parts import CURATE, MapParts, mark
from workbench.components.map.map_shares import shares_chart
from workbench.components.map.slice_queue import slice_queue
from workbench.components.text import plain
from workbench.components.wording import count, counted
from workbench.map_files import SentenceMap

_ROWS = 1000
_MEASURED = (
    ("margin", "Margin"),
    ("error", "Rank error"),
    ("kept", "Neighbours kept"),
    ("moved", "Moved on the map"),
)
_TABS = ("All", "Filtered", "Selected")
MOVED = "Changed most"


def drawer(parts: MapParts) -> None:
    """Draw tabs, rows, the small chart and the actions."""
    tab = _tab(parts)
    if tab == CURATE:
        slice_queue(parts.workspace, parts.selected_ids(), key=f"map_queue_{parts.map_id}")
        return
    if tab == MOVED:
        _table(parts, np.argsort(parts.drawn.points["kept"].to_numpy(), kind="stable"), tab)
        return
    points = {"All": np.arange(len(parts.drawn)), "Filtered": parts.shown}.get(tab, parts.selected)
    if tab == "Selected":
        if not len(points):
            st.caption("Nothing is selected: draw a box or a lasso on the map, or search.")
            return
        note = map_selection.note(parts.map_id)
        if note:
            st.caption(plain(note))
        selection_actions(parts)
    left, right = st.columns([3, 1])
    with left:
        _table(parts, points, tab)
    with right:
        shares_chart(parts, points, tab)


def _tab(parts: MapParts) -> str:
    counts = dict(zip(_TABS, (len(parts.drawn), len(parts.shown), len(parts.selected)), strict=True))
    options = [*_TABS]
    if len(parts.selected) and parts.task is None:
        options.append(CURATE)
    if "kept" in parts.drawn.points:
        options.append(MOVED)
    key = f"map_tab_{parts.map_id}"
    wanted = map_selection.next_tab(parts.map_id)
    if wanted in options:
        st.session_state[key] = wanted
    elif st.session_state.get(key) not in options:
        st.session_state[key] = "All"
    return str(
        st.segmented_control(
            "Rows",
            options,
            key=key,
            required=True,
            label_visibility="collapsed",
            format_func=lambda name: f"{name} ({count(counts[name])})" if name in counts else name,
        )
    )


def _table(parts: MapParts, points: np.ndarray, tab: str) -> None:
    first = points[:_ROWS]
    frame = rows(parts.drawn, parts.colours, first)
    if len(points) > len(first):
        st.caption(f"The first {count(len(first))} of {counted(len(points), 'row')}; the export holds all.")
    event = st.dataframe(
        frame,
        hide_index=True,
        height=360,
        row_height=36,
        key=f"map_table_{parts.map_id}_{tab}_{mark(first)}",
        on_select=lambda: None,
        selection_mode="single-row",
        placeholder="–",
        alt=f"{tab} sentences",
        column_config={
            "text": st.column_config.TextColumn("Sentence", width="large"),
            "role": st.column_config.TextColumn("Role", width="small"),
        },
    )
    _go_to_row(parts, first, event.selection.rows, tab)


def _go_to_row(parts: MapParts, points: np.ndarray, chosen: list[int], tab: str) -> None:
    key = f"map_row_{parts.map_id}"
    now = (tab, mark(points), tuple(chosen))
    if chosen and st.session_state.get(key) != now:
        st.session_state[key] = now
        point = int(points[chosen[0]])
        map_selection.focus(parts.map_id, point)
        map_selection.choose(str(parts.drawn.points["triplet_id"].iat[point]))
        st.rerun(scope="fragment")


def rows(drawn: SentenceMap, colours: Colouring, points: np.ndarray) -> pd.DataFrame:
    """Rows of these points: role, sentence, what the colour says, and what was measured."""
    part = drawn.points.iloc[points]
    frame = pd.DataFrame({"role": part["role"].map(theme.ROLE_NAMES).fillna(part["role"]), "text": part["text"]})
    if colours.title != "Role":
        frame[colours.title] = colours.labels[points]
    for column, name in _MEASURED:
        if column in part and name not in frame and not colours.title.startswith(name):
            frame[name] = part[column].round(3)
    return frame
