"""Below the map: rows of all, filtered or selected points, a chart of their colours, and a queue for triplets."""

import numpy as np
import pandas as pd
import streamlit as st

from pipeline.analysis.selection import Feature, lengths, set_apart, word_features
from workbench import state, theme
from workbench.actions.decisions import decide, undo
from workbench.components.elements import count, counted, empty_state, errors_shown, for_chart, plain
from workbench.components.map import map_actions
from workbench.components.map.map_actions import CURATE, MapParts, mark, selection_actions
from workbench.components.map.point_map import Colouring
from workbench.components.selection_view import what_sets_apart
from workbench.components.triplet_card import step, triplet_card
from workbench.maps import SentenceMap
from workbench.store.decisions import Action
from workbench.workspace import Workspace

MOVED = "Changed most"
_BINS = 40
_ROWS = 1000
_MEASURED = (
    ("margin", "Margin"),
    ("error", "Rank error"),
    ("kept", "Neighbours kept"),
    ("hubness", "Hubness"),
    ("moved", "Moved on the map"),
)
_TABS = ("All", "Filtered", "Selected")


def shares_chart(parts: MapParts, points: np.ndarray, tab: str) -> None:
    """Draw the chart of these points."""
    key = f"map_shares_{parts.map_id}_{tab}_{parts.colours.title}_{mark(points)}"
    theme.draw(
        shares(parts.colours, points),
        key=key,
        on_select=lambda: _select_bar(parts, points, key),
        selection_mode="points",
        alt=f"{parts.colours.title}: {tab.lower()} points against all",
    )
    st.caption("Click a bar to select its points.")


def _select_bar(parts: MapParts, points: np.ndarray, key: str) -> None:
    clicked = st.session_state[key]["selection"]["points"]
    if clicked:
        chosen = points_of_bar(parts.colours, points, clicked[0]["customdata"])
        map_actions.select(parts.map_id, chosen, note=f"{parts.colours.title}: a bar of the chart")
        map_actions.show(parts.map_id, "Selected")


def points_of_bar(colours: Colouring, points: np.ndarray, bar: list[float]) -> np.ndarray:
    """Return the points behind a bar: those of one colour index, or with values between two bin edges."""
    if not colours.is_continuous:
        return points[colours.indices[points] == int(bar[0])]
    values, (low, high, is_last) = colours.labels[points], bar
    return points[(values >= low) & ((values < high) | (bool(is_last) & (values == high)))]


def shares(colours: Colouring, points: np.ndarray) -> theme.Figure:
    """Draw the shares of the colours among these points and among all points."""
    figure = theme.chart(colours.title, x="share of points", y="", height=360)
    if colours.is_continuous:
        return _histogram(figure, colours, points)
    everywhere = np.bincount(colours.indices, minlength=256) / max(1, len(colours.indices))
    here = np.bincount(colours.indices[points], minlength=256) / max(1, len(points))
    entries = [entry for entry in colours.entries if entry[3] is not None][::-1]
    for name, share, opacity in (("all points", everywhere, 0.35), ("these points", here, 1.0)):
        figure.add_bar(
            x=[share[entry[3]] for entry in entries],
            y=[for_chart(entry[0]) for entry in entries],
            customdata=[[entry[3]] for entry in entries],
            orientation="h",
            name=name,
            opacity=opacity,
            marker_color=[entry[1] for entry in entries],
            hovertemplate="%{y}: %{x:.1%}<extra>" + name + "</extra>",
        )
    figure.update_layout(barmode="group", showlegend=False)
    figure.update_xaxes(tickformat=".0%")
    return figure


def _histogram(figure: theme.Figure, colours: Colouring, points: np.ndarray) -> theme.Figure:
    """Draw both distributions in the same bins, counted here to send 40 bars instead of all points."""
    known = colours.labels[np.isfinite(colours.labels)]
    if len(known):
        edges = np.histogram_bin_edges(known, bins=_BINS)
        bars = np.column_stack([edges[:-1], edges[1:], edges[1:] == edges[-1]]).tolist()
        here = colours.labels[points]
        for values, colour in ((known, theme.INK), (here[np.isfinite(here)], theme.HUMAN)):
            counts, _ = np.histogram(values, bins=edges)
            share = counts / max(1, counts.sum())
            middles = (edges[1:] + edges[:-1]) / 2
            figure.add_bar(x=middles, y=share, customdata=bars, opacity=0.6, marker_color=colour)
    figure.update_layout(barmode="overlay", bargap=0, showlegend=False)
    figure.update_xaxes(title={"text": colours.title})
    figure.update_yaxes(title={"text": "share of points"}, tickformat=".0%")
    return figure


def slice_queue(workspace: Workspace, triplet_ids: list[str], *, key: str) -> None:
    """Draw the first undecided triplet with its buttons, and buttons for all undecided ones."""
    latest = workspace.store.decisions.latest(triplet_ids)
    decided = set(latest["triplet_id"])
    skipped = st.session_state.setdefault(f"{key}_skipped", [])
    waiting = [triplet_id for triplet_id in triplet_ids if triplet_id not in decided]
    st.progress(
        1 - len(waiting) / len(triplet_ids) if triplet_ids else 0.0,
        text=f"{len(triplet_ids) - len(waiting)} of {counted(len(triplet_ids), 'selected triplet')} decided",
    )
    ahead = [triplet_id for triplet_id in waiting if triplet_id not in skipped]
    if ahead:
        with errors_shown():
            triplet = workspace.store.triplets.get(ahead[0])
            triplet_card(triplet, triplet["scores"])
        with st.container(horizontal=True):
            for label, action, icon in (
                ("Accept", "accept", ":material/check:"),
                ("Reject", "reject", ":material/close:"),
                ("Swap", "swap", ":material/swap_horiz:"),
            ):
                st.button(
                    label, icon=icon, on_click=_decide, args=(workspace, ahead[:1], action), key=f"{key}_{action}"
                )
            st.button("Skip", icon=":material/skip_next:", on_click=skipped.append, args=ahead[:1], key=f"{key}_skip")
            st.button("Undo", icon=":material/undo:", on_click=step, args=(workspace, undo), key=f"{key}_undo")
    else:
        hint = f"{counted(len(waiting), 'triplet')} skipped." if waiting else "Each selected triplet has a decision."
        empty_state("Nothing left to decide", hint=hint, icon=":material/done_all:")
        st.button("Undo", icon=":material/undo:", on_click=step, args=(workspace, undo), key=f"{key}_undo")
    if len(waiting) > 1:
        with st.container(horizontal=True):
            for label, action in (("Accept", "accept"), ("Reject", "reject")):
                st.button(
                    f"{label} all {len(waiting):,} undecided",
                    on_click=_decide,
                    args=(workspace, waiting, action),
                    key=f"{key}_{action}_all",
                )


def _decide(workspace: Workspace, triplet_ids: list[str], action: Action) -> None:
    with errors_shown():
        decide(
            workspace,
            triplet_ids=triplet_ids,
            action=action,
            annotator=state.annotator(),
            reason="embedding map",
        )


def map_rows(parts: MapParts) -> None:
    """Draw tabs, actions, rows and the chart of colours."""
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
            st.caption("Nothing is selected. Draw a box or a lasso on the map, or search.")
            return
        note = map_actions.note(parts.map_id)
        if note:
            st.caption(plain(note))
        selection_actions(parts)
        if len(points) < len(parts.drawn) and st.toggle("What sets this selection apart", key="map_apart"):
            what_sets_apart(set_apart_on_map(parts), key=f"map_{parts.map_id}")
    with st.container(key="map_rows_beside"):
        left, right = st.columns([3, 1])
    with left:
        _table(parts, points, tab)
    with right:
        shares_chart(parts, points, tab)


def set_apart_on_map(parts: MapParts) -> list[Feature]:
    """Return what sets the selected sentences apart from the others: roles, groups, measurements, words, length."""
    points = parts.drawn.points
    texts = points["text"].tolist()
    features = {
        theme.ROLE_NAMES.get(role, role): (points["role"] == role).to_numpy() for role in points["role"].unique()
    }
    if "cluster" in points:
        features |= {
            f"group {name or number + 1}": (points["cluster"] == number).to_numpy()
            for number, name in enumerate(parts.drawn.cluster_names)
        }
    features |= {name: points[column].to_numpy(float) for column, name in _MEASURED if column in points}
    selected = map_actions.flags(len(points), parts.selected)
    features = {name: values for name, values in features.items() if np.isfinite(values).all()}
    groups = np.unique(points["triplet_id"], return_inverse=True)[1]
    return set_apart(selected, features | word_features(texts) | {"number of words": lengths(texts)}, groups=groups)


def _tab(parts: MapParts) -> str:
    counts = dict(zip(_TABS, (len(parts.drawn), len(parts.shown), len(parts.selected)), strict=True))
    options = [*_TABS]
    if len(parts.selected) and parts.task is None:
        options.append(CURATE)
    if "kept" in parts.drawn.points:
        options.append(MOVED)
    key = f"map_tab_{parts.map_id}"
    wanted = map_actions.next_tab(parts.map_id)
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
            wrap=True,
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
        map_actions.focus(parts.map_id, point)
        map_actions.choose_point(parts.map_id, parts.drawn, point)
        st.rerun(scope="fragment")


def rows(drawn: SentenceMap, colours: Colouring, points: np.ndarray) -> pd.DataFrame:
    """Return role, sentence, colour value and measurements of these points."""
    part = drawn.points.iloc[points]
    frame = pd.DataFrame({"role": part["role"].map(theme.ROLE_NAMES).fillna(part["role"]), "text": part["text"]})
    if colours.title != "Role":
        frame[colours.title] = colours.labels[points]
    for column, name in _MEASURED:
        if column in part and name not in frame and not colours.title.startswith(name):
            frame[name] = part[column].round(3)
    return frame
