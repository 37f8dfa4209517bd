"""Below the map: the rows of what is on it, filtered or selected, and what a selection can become."""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from workbench import state, theme
from workbench.actions.maps import save_slice, seed_corpus
from workbench.components import links, map_selection
from workbench.components.map_colours import Colouring
from workbench.components.notice import errors_shown
from workbench.components.slice_queue import slice_queue
from workbench.components.text import plain
from workbench.components.wording import count, counted
from workbench.map_files import SentenceMap
from workbench.slices import Slices
from workbench.workspace import Workspace

_ROWS = 1000
_TABS = ("All", "Filtered", "Selected")
CURATE = "Curate"
MOVED = "Changed most"


@dataclass(frozen=True, slots=True)
class Drawer:
    """What the drawer shows: a map, its colours, and who is in."""

    workspace: Workspace
    map_id: str
    drawn: SentenceMap
    colours: Colouring
    shown: np.ndarray
    """Point numbers that pass the filter."""
    selected: np.ndarray
    """Point numbers, in the order in which they were found."""


def drawer(parts: Drawer) -> None:
    """Draw tabs, rows, the small chart and the actions."""
    tab = _tab(parts)
    if tab == CURATE:
        slice_queue(parts.workspace, _triplets(parts), key=f"map_queue_{parts.map_id}")
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
        _actions(parts)
    if tab == "All":
        _table(parts, points, tab)
        return
    left, right = st.columns([3, 1])
    with left:
        _table(parts, points, tab)
    with right:
        st.plotly_chart(
            shares(parts.colours, points),
            key=f"map_shares_{parts.map_id}_{tab}",
            config=theme.MODEBAR,
            alt=f"{parts.colours.title}: {tab.lower()} points against all",
        )


def _tab(parts: Drawer) -> str:
    counts = dict(zip(_TABS, (len(parts.drawn), len(parts.shown), len(parts.selected)), strict=True))
    options = [*_TABS]
    if len(parts.selected):
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


def _table(parts: Drawer, points: np.ndarray, tab: str) -> None:
    first = points[:_ROWS]
    frame = rows(parts.drawn, parts.colours, first)
    if len(points) > len(first):
        st.caption(f"The first {count(len(first))} of {counted(len(points), 'row')}; the export holds all.")
    event = st.dataframe(
        frame,
        hide_index=True,
        height=360,
        row_height=36,
        key=f"map_table_{parts.map_id}_{tab}_{_mark(first)}",
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


def _go_to_row(parts: Drawer, points: np.ndarray, chosen: list[int], tab: str) -> None:
    key = f"map_row_{parts.map_id}"
    mark = (tab, _mark(points), tuple(chosen))
    if chosen and st.session_state.get(key) != mark:
        st.session_state[key] = mark
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
    for column, name in (("margin", "Margin"), ("kept", "Neighbours kept"), ("moved", "Moved on the map")):
        if column in part and name not in frame and not colours.title.startswith(name):
            frame[name] = part[column].round(3)
    return frame


def shares(colours: Colouring, points: np.ndarray) -> go.Figure:
    """How the colours are shared out among these points, against all points."""
    figure = theme.chart("", x="share of points", y="", height=360)
    if colours.is_continuous:
        return _histogram(figure, colours, points)
    everywhere = np.bincount(colours.indices, minlength=256) / max(1, len(colours.indices))
    here = np.bincount(colours.indices[points], minlength=256) / max(1, len(points))
    entries = [entry for entry in colours.entries if entry[3] is not None][::-1]
    names = [entry[0] for entry in entries]
    for name, share, opacity in (("all points", everywhere, 0.35), ("these points", here, 1.0)):
        figure.add_trace(
            go.Bar(
                x=[share[entry[3]] for entry in entries],
                y=names,
                orientation="h",
                name=name,
                opacity=opacity,
                marker_color=[entry[1] for entry in entries],
                hovertemplate="%{y}: %{x:.1%}<extra>" + name + "</extra>",
            )
        )
    figure.update_layout(title=None, barmode="group", showlegend=False, margin={"t": 8})
    figure.update_xaxes(tickformat=".0%")
    return figure


def _histogram(figure: go.Figure, colours: Colouring, points: np.ndarray) -> go.Figure:
    """Both distributions in the same bins, counted here: the browser gets 40 bars and not every point."""
    known = np.isfinite(colours.labels)
    if known.any():
        edges = np.histogram_bin_edges(colours.labels[known], bins=40)
        for values, colour in ((colours.labels[known], theme.INK), (colours.labels[points], theme.HUMAN)):
            counts, _ = np.histogram(values[np.isfinite(values)], bins=edges)
            share = counts / max(1, counts.sum())
            figure.add_trace(go.Bar(x=(edges[1:] + edges[:-1]) / 2, y=share, opacity=0.6, marker_color=colour))
    figure.update_layout(title=None, barmode="overlay", bargap=0, showlegend=False, margin={"t": 8})
    figure.update_xaxes(title={"text": colours.title})
    figure.update_yaxes(title={"text": "share of points"}, tickformat=".0%")
    return figure


def _actions(parts: Drawer) -> None:
    drawn = parts.drawn
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if st.button("Curate these", icon=":material/rule:", type="primary", key=f"map_curate_{parts.map_id}"):
            map_selection.show(parts.map_id, CURATE)
            st.rerun(scope="fragment")
        if st.button(
            "Use as seeds",
            icon=":material/edit_note:",
            key=f"map_seeds_{parts.map_id}",
            help="Make a corpus of the selected premises (or of all selected sentences, where none is a premise).",
        ):
            _seed(parts)
        with (
            st.popover("Save as a slice", icon=":material/bookmark_add:"),
            st.form(f"map_slice_form_{parts.map_id}", border=False),
        ):
            name = st.text_input("Name of the slice", key=f"map_slice_name_{parts.map_id}")
            if st.form_submit_button("Save"):
                with errors_shown():
                    saved = save_slice(parts.workspace, name=name, triplet_ids=_triplets(parts), origin=parts.map_id)
                    st.toast(f"The slice holds {counted(saved['triplets'], 'triplet')}.", icon=":material/bookmark:")
        st.download_button(
            "Export",
            data=lambda: export(drawn, parts.selected),
            file_name="map-selection.parquet",
            icon=":material/download:",
            key=f"map_export_{parts.map_id}",
            help="Parquet with x, y, ids and texts. Opens in Embedding Atlas: embedding-atlas map-selection.parquet "
            "--text text --x x --y y",
        )
        st.button("Clear", icon=":material/close:", on_click=map_selection.clear, args=(parts.map_id,))
    seeds = st.session_state.get(_seeded(parts))
    if seeds:
        label = f"**Generate from {counted(seeds, 'premise')}**"
        st.page_link(links.GENERATE, label=label, icon=":material/arrow_forward:")


def _seed(parts: Drawer) -> None:
    chosen = parts.drawn.points.iloc[parts.selected]
    premises = chosen[chosen["role"] == "premise"]
    texts = (premises if len(premises) else chosen)["text"].tolist()
    with errors_shown():
        made = seed_corpus(parts.workspace, texts=texts, name=f"From the map: {counted(len(set(texts)), 'sentence')}")
        state.select(state.CORPUS, made["corpus_id"])
        st.session_state[_seeded(parts)] = made["premises"]


def _seeded(parts: Drawer) -> str:
    """Session key of the corpus made from this selection: another selection, another key."""
    return f"map_seeded_{parts.map_id}_{_mark(parts.selected)}"


def export(drawn: SentenceMap, points: np.ndarray) -> bytes:
    """Parquet of these points with every column of the map, and the point's number as `id`."""
    buffer = BytesIO()
    frame = drawn.points.iloc[points].copy()
    frame.insert(0, "id", points)
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def slice_picker(workspace: Workspace, map_id: str, drawn: SentenceMap) -> None:
    """Bring a saved slice back as the selection."""
    saved = {item.slice_id: item for item in Slices(workspace.root).list()}
    if not saved:
        st.caption("No slice is saved yet.")
        return
    chosen = st.selectbox(
        "Saved slice",
        list(saved),
        format_func=lambda key: f"{saved[key].name} ({count(len(saved[key].triplet_ids))})",
        key=f"map_slice_{map_id}",
    )
    if st.button("Select its triplets", key=f"map_slice_load_{map_id}"):
        wanted = drawn.points["triplet_id"].isin(saved[chosen].triplet_ids).to_numpy()
        map_selection.select(map_id, np.flatnonzero(wanted), note=f"Slice {saved[chosen].name}")
        map_selection.show(map_id, "Selected")
        st.rerun(scope="fragment")


def _triplets(parts: Drawer) -> list[str]:
    return list(dict.fromkeys(parts.drawn.points["triplet_id"].iloc[parts.selected]))


def _mark(points: np.ndarray) -> str:
    """Part of a table's key: Streamlit keeps a table's chosen row by number, which means nothing in other rows."""
    return f"{len(points)}_{hash(points.tobytes()) & 0xFFFFFFFF:x}"
