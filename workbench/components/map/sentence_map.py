"""Embedding maps: the form that starts one; and the map itself: controls, canvas and rows that share a selection."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from pipeline.mask_thresholds import USUAL_THRESHOLDS
from workbench import state, theme
from workbench.actions.analysis import default_guide, start_projection
from workbench.components.elements import count, counted, errors_shown
from workbench.components.encoder_comparison import encoder_names, scored_name
from workbench.components.job_progress import job_strip
from workbench.components.map import map_actions, map_pairs, point_map
from workbench.components.map.map_actions import MapParts
from workbench.components.map.map_file import map_file
from workbench.components.map.map_pairs import Line, TripletLines
from workbench.components.map.map_rows import map_rows
from workbench.components.map.map_side import map_side
from workbench.components.map.map_views import COLOUR, LAYERS, filter_keys, saved_views
from workbench.components.map.point_map import Colouring, choices, colouring
from workbench.components.place_picker import place_picker
from workbench.jobs.kinds import ProjectSpec
from workbench.maps import SentenceMap, task_corpus, task_of
from workbench.workspace import Workspace

_LIMITS = (1000, 5000, 20_000, 50_000, 200_000)
PHI = USUAL_THRESHOLDS["phi"]
"""Initial mask threshold of the slider."""
VIOLATED, MASKED, GROUPS = "Violated triplets", "Masked pairs", "Group names"
_HEIGHT = 640
_BATCH = 64


def sources(workspace: Workspace) -> dict[str, str]:
    """Return id -> name of what can be drawn: snapshots, generation runs with usable triplets, scored tasks."""
    found = {
        item.snapshot_id: f"Snapshot {item.name} ({count(item.rows)})" for item in workspace.store.snapshots.list()
    }
    runs = workspace.store.triplets.attempts()
    usable = runs[runs["ok"] > 0]
    found |= {row.attempt_id: f"{row.title or row.attempt_id} ({count(row.ok)})" for row in usable.itertuples()}
    tasks = workspace.store.scores.matrix().groupby("task")["pairs"].max()
    return found | {
        task_corpus(str(name)): f"Task {name} ({counted(pairs, 'pair')})" for name, pairs in tasks.items()
    }


def map_names(
    workspace: Workspace, maps: pd.DataFrame, encoders: dict[str, str], drawable: dict[str, str]
) -> dict[str, str]:
    """Return id -> name of every map: its encoders in order, its sentences, its method."""
    asked = {job.job_id: job.spec.encoders for job in workspace.jobs.of(ProjectSpec)}
    names = {}
    for row in maps.itertuples():
        compared = [item.encoder_id for item in asked.get(str(row.projection_id), ())]
        shown = " → ".join(scored_name(encoder, encoders) for encoder in compared or [row.encoder_id])
        method = "ALIGNED UMAP" if row.method == "aligned" else row.method.upper()
        names[row.projection_id] = f"{shown} · {drawable.get(row.corpus) or _corpus_name(row.corpus)} · {method}"
    return names


def _corpus_name(corpus: str) -> str:
    """Return the name of a source that no longer exists."""
    task = task_of(corpus)
    return f"Task {task}" if task else corpus


def map_form(workspace: Workspace, drawable: dict[str, str]) -> None:
    """Draw encoder, sentences, method and start."""
    names = encoder_names(workspace)
    with st.container(width=520):
        chosen = state.pick("Encoder", list(names), name=state.CANDIDATE, names=names)
        later = st.multiselect(
            "Compare with",
            [encoder for encoder in names if encoder != chosen],
            format_func=names.__getitem__,
            key="map_compare",
            placeholder="One encoder only",
            help="Draws the same sentences under all encoders, in this order, on one aligned map. Takes minutes.",
        )
        source = str(state.pick("Sentences of", list(drawable), name=state.MAPPED, names=drawable))
        task = task_of(source)
        is_snapshot = any(item.snapshot_id == source for item in workspace.store.snapshots.list())
        how = st.segmented_control(
            "Method",
            ["umap", "pca"],
            default="umap",
            required=True,
            format_func=str.upper,
            key="map_method",
            disabled=bool(later),
            wrap=True,
        )
        limit = st.select_slider(
            "Maximum number of triplets or pairs", _LIMITS, value=5000, format_func=count, key="map_limit"
        )
        guided = st.toggle(
            "Find the pairs that φ would mask",
            key="map_guided",
            disabled=task is not None,
            help=f"Also encodes the sentences with the guide {default_guide()}, to show false negatives.",
        )
        every_outcome = st.toggle(
            "Include failed replies",
            key="map_every_outcome",
            disabled=task is not None or is_snapshot,
            help="Also draws copied, truncated and refused replies; colour them by outcome.",
        )
        on = place_picker(workspace, ProjectSpec)
        pressed = st.button("Draw the map", type="primary", icon=":material/scatter_plot:", key="map_start")
    if pressed:
        with errors_shown():
            made = start_projection(
                workspace,
                encoder=str(chosen),
                snapshot_id=source if is_snapshot else None,
                attempt_id=None if is_snapshot or task else source,
                task=task,
                every_outcome=every_outcome and not is_snapshot and not task,
                method=how or "umap",
                limit=limit,
                compare_with=later,
                guide=default_guide() if guided and not task else None,
                on=on,
            )
            state.select(state.MAP, made["projection_id"])
            st.rerun()


def map_progress(workspace: Workspace) -> None:
    """Draw the job of a map that is being computed or was stopped."""
    job_strip(workspace, ProjectSpec, key="mapping")


@dataclass(frozen=True, slots=True)
class MapChoice:
    """The map to draw and what it was made of."""

    map_id: str
    drawn: SentenceMap
    attempt_ids: tuple[str, ...]
    task: str | None
    """Task whose pairs are drawn, None for triplets."""
    place_names: list[str]
    quality: tuple[float, float]


@st.cache_resource(max_entries=4, show_spinner=False)
def read_map(path: str, modified: float) -> SentenceMap:
    """Read a map once for all sessions, which never change it."""
    del modified  # part of the cache key
    return SentenceMap(Path(path))


def sentence_map(workspace: Workspace, chosen: MapChoice) -> None:
    """Draw the map. Coordinates are sent here, once; everything that changes is drawn in fragments."""
    with st.container(gap=None):
        for number, places in enumerate(chosen.drawn.places):
            point_map.place_layer(chosen.map_id, number, places, version=f"{chosen.map_id}:{number}")
        st.fragment(point_map.hovered_point)(chosen.map_id, partial(hover_text, chosen.drawn))
    st.fragment(_explore)(workspace, chosen)


def _explore(workspace: Workspace, chosen: MapChoice) -> None:
    map_id, drawn = chosen.map_id, chosen.drawn
    with st.container(horizontal=True, vertical_alignment="bottom"):
        colours = _colours(workspace, chosen)
        layers = _layers(drawn)
        with st.popover("Filter", icon=":material/filter_alt:"):
            shown = _filter(map_id, drawn)
        with st.popover("Slices", icon=":material/bookmark:"):
            map_actions.slice_picker(workspace, map_id, drawn, chosen.task)
        with st.popover("Views", icon=":material/bookmarks:"):
            saved_views(workspace, map_id, drawn, layers)
        visible = np.flatnonzero(shown)
        st.download_button(
            "One file",
            data=lambda: map_file(drawn, colours, visible, title=chosen.place_names[-1]),
            file_name="map.html",
            mime="text/html",
            icon=":material/download:",
            key=f"map_file_{map_id}",
            help="The filtered map as one HTML page that opens without a network.",
        )
    if VIOLATED in layers:
        shown = shown & map_pairs.violated(drawn)
    triplet_id = state.recall(state.TRIPLET)
    triplet = map_pairs.triplet_lines(drawn, triplet_id) if triplet_id else None
    selected = map_actions.selected(map_id)
    with st.container(key="map_beside"):
        canvas, side = st.columns([7, 3], gap="small")
    with canvas.container(gap=None):
        point_map.colour_layer(map_id, colours.indices)
        point_map.mask_layer(map_id, shown, map_actions.flags(len(drawn), highlighted(selected, triplet)))
        pairs = _pairs(workspace, chosen) if MASKED in layers else None
        sent = point_map.point_map(
            map_id,
            view(chosen, colours, layers, shown, selected, triplet, pairs),
            on_region=partial(map_actions.take_region, map_id, drawn, shown, colours.indices),
            on_choice=partial(map_actions.take_choice, map_id, drawn),
            on_clear=partial(map_actions.clear, map_id),
        )
    with side.container(height=_HEIGHT, border=True, key="map_side"):
        map_side(workspace, map_id, drawn, triplet)
    if pairs is not None:
        map_pairs.pair_list(workspace, map_id, drawn, pairs, phi=float(sent.get("phi") or PHI))
    map_rows(MapParts(workspace, map_id, drawn, chosen.task, colours, np.flatnonzero(shown), selected))


def _colours(workspace: Workspace, chosen: MapChoice) -> Colouring:
    names = choices(workspace, chosen.drawn, chosen.attempt_ids, chosen.task)
    if st.session_state.get(COLOUR) not in names:
        st.session_state[COLOUR] = next(name for name in ("kept", "error", "role") if name in names)
    column = st.selectbox("Colour by", list(names), format_func=names.__getitem__, key=COLOUR, width=280)
    return colouring(workspace, chosen.drawn, chosen.attempt_ids, chosen.task, column, names[column])


def _layers(drawn: SentenceMap) -> list[str]:
    options = []
    if "margin" in drawn.points:
        options.append(VIOLATED)
    if drawn.pairs is not None:
        options.append(MASKED)
    if drawn.cluster_names:
        options.append(GROUPS)
    if not options:
        return []
    return st.pills("Layers", options, selection_mode="multi", key=LAYERS, default=options[-1:], wrap=True)


def _filter(map_id: str, drawn: SentenceMap) -> np.ndarray:
    """Draw the filter; return which points pass, bool (n,)."""
    text_key, roles_key = filter_keys(map_id)
    text = st.text_input("Contains", key=text_key, placeholder="Part of a sentence")
    roles = list(drawn.points["role"].unique())
    kept = st.pills(
        "Roles",
        roles,
        selection_mode="multi",
        default=roles,
        format_func=lambda role: theme.ROLE_NAMES.get(role, role),
        key=roles_key,
        wrap=True,
    )
    shown = drawn.points["role"].isin(kept).to_numpy()
    if text.strip():
        shown = shown & drawn.points["text"].str.contains(text.strip(), case=False, regex=False).to_numpy()
    return shown


def _pairs(workspace: Workspace, chosen: MapChoice) -> pd.DataFrame | None:
    """Send the pairs that phi may mask; return them with `is_duplicate`."""
    pairs = chosen.drawn.pairs
    if pairs is None:
        return None
    drawn = chosen.drawn
    latest = workspace.store.decisions.latest(point_map.drawn_ids(drawn.points))
    is_duplicate = map_pairs.marked_duplicates(drawn, pairs, latest)
    ids = pd.factorize(drawn.points["triplet_id"])[0]
    is_own = ids[pairs["premise"]] == ids[pairs["candidate"]]
    point_map.edge_layer(
        chosen.map_id, pairs["premise"], pairs["candidate"], pairs["cosine"], is_duplicate + 2 * is_own
    )
    return pairs.assign(is_duplicate=is_duplicate)


def quality_badges(chosen: MapChoice) -> None:
    """Draw the number of sentences, and how far two dimensions keep their neighbourhoods."""
    trust, recall = chosen.quality
    with st.container(horizontal=True, gap="xsmall"):
        st.badge(f"{count(len(chosen.drawn))} sentences", color="gray")
        st.badge(
            f"trustworthiness {trust:.2f}",
            color="green" if trust >= 0.9 else "orange",
            help="How reliably neighbours on the map are neighbours under the encoder too; 1 is best.",
        )
        st.badge(
            f"neighbours kept {recall:.0%}",
            color="gray",
            help="Share of the nearest neighbours under the encoder that are also nearest on the map. Two dimensions "
            "cannot keep many: read groups, not single distances. Neighbours, groups and lines on this page are "
            "computed in the full space.",
        )


def view(
    chosen: MapChoice,
    colours: Colouring,
    layers: Sequence[str],
    shown: np.ndarray,
    selected: np.ndarray,
    triplet: TripletLines | None,
    pairs: pd.DataFrame | None,
) -> dict[str, Any]:
    """Return what the canvas needs besides the arrays of points."""
    drawn = chosen.drawn
    lines: list[Line] = map_pairs.violated_lines(drawn, shown) if VIOLATED in layers and triplet is None else []
    rings: list[tuple[int, str]] = []
    if triplet is not None:
        lines = triplet.lines
        rings = [(point, theme.ROLE_COLOURS.get(role, theme.INK)) for role, point in triplet.points.items()]
    about, triplets = drawn.about.get("pairs", {}), len(drawn.rows_of) if pairs is not None else 0
    return {
        "height": _HEIGHT,
        "count": len(drawn),
        "places": chosen.place_names,
        "palette": colours.palette,
        "legend": {"title": colours.title, "entries": colours.entries},
        "colours": {"masked": theme.MASKED, "human": theme.HUMAN},
        "selected": len(selected),
        "chosen": triplet is not None or None,
        "lines": lines,
        "rings": rings,
        "labels": drawn.group_names if GROUPS in layers else [],
        "phi": pairs is not None
        and {"floor": about["floor"], "value": PHI, "triplets": triplets, "batch": min(_BATCH, triplets)},
        "focus": map_actions.focused(chosen.map_id),
        "alt": f"Map of {count(len(drawn))} sentences coloured by {colours.title.lower()}. Arrow keys move, plus and "
        "minus zoom, Enter chooses the sentence at the centre, Escape clears.",
    }


def highlighted(selected: np.ndarray, triplet: TripletLines | None) -> np.ndarray:
    """Return the points that stay bright: the selection, else the chosen triplet with its nearest negatives."""
    if len(selected) or triplet is None:
        return selected
    return np.array([*triplet.points.values(), *(point for point, _ in triplet.rivals)], dtype=np.int64)


def hover_text(drawn: SentenceMap, point: int) -> dict[str, Any]:
    """Return role, sentence and measurements of a point, shown when it is hovered."""
    if not 0 <= point < len(drawn):
        return {"role": "", "text": "", "detail": ""}
    row = drawn.points.iloc[point]
    known = (("margin", "margin"), ("error", "rank error"), ("kept", "neighbours kept"))
    detail = " · ".join(f"{name} {row[column]:.2f}" for column, name in known if column in row)
    return {"role": theme.ROLE_NAMES.get(row["role"], row["role"]), "text": row["text"], "detail": detail}
