"""The selection on the map: how it is made, searched and shared between its parts, and what can be done with it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from pipeline.analysis.neighbours import nearest
from pipeline.analysis.projection import inside
from workbench import state
from workbench.actions.analysis import save_pair_slice, save_slice, seed_corpus, start_search
from workbench.components.elements import GENERATE, count, counted, errors_shown, plain, read_table, shorten
from workbench.components.job_progress import is_live
from workbench.components.map.point_map import Colouring, saved_slices, view_key
from workbench.maps import PAIR_ROLES, SentenceMap
from workbench.workspace import Workspace

CURATE = "Curate"
"""Tab below the map with the selected triplets as a queue."""


@dataclass(frozen=True, slots=True)
class MapParts:
    """The current state of a map."""

    workspace: Workspace
    map_id: str
    drawn: SentenceMap
    task: str | None
    """Task whose pairs are drawn, None for triplets."""
    colours: Colouring
    shown: np.ndarray
    """Point numbers that pass the filter."""
    selected: np.ndarray
    """Point numbers, in the order in which they were found."""

    def selected_ids(self) -> list[str]:
        """Ids of the triplets or pairs that have a selected sentence, in the order of the selection."""
        return list(dict.fromkeys(self.drawn.points["triplet_id"].iloc[self.selected]))


def mark(points: np.ndarray) -> str:
    """Return a key for these points: Streamlit keeps selections by row number, which mean nothing among others."""
    return f"{len(points)}_{hash(points.tobytes()) & 0xFFFFFFFF:x}"


_COUNTER = "map_focus_counter"


def selected(map_id: str) -> np.ndarray:
    """Point numbers, in the order in which they were found."""
    return st.session_state.get(f"map_selected_{map_id}", np.zeros(0, dtype=np.int64))


def select(map_id: str, points: np.ndarray, *, note: str = "") -> None:
    """Replace the selection."""
    st.session_state[f"map_selected_{map_id}"] = np.asarray(points, dtype=np.int64)
    st.session_state[f"map_note_{map_id}"] = note


def note(map_id: str) -> str:
    """Return the origin of a selection not drawn by hand."""
    return st.session_state.get(f"map_note_{map_id}", "")


def flags(count: int, points: np.ndarray) -> np.ndarray:
    """Return point numbers as bool (count,)."""
    marked = np.zeros(count, dtype=bool)
    marked[points] = True
    return marked


def take_region(map_id: str, drawn: SentenceMap, shown: np.ndarray, indices: np.ndarray) -> None:
    """Select the shown points in the region that the map sent, without hidden colours."""
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
    if sent is not None and sent["index"] is not None:
        choose_point(map_id, drawn, int(sent["index"]))
    elif sent is not None:
        choose(None)


def choose_point(map_id: str, drawn: SentenceMap, point: int) -> None:
    """Choose a sentence, and with it its triplet."""
    st.session_state[f"map_point_{map_id}"] = point
    choose(str(drawn.points["triplet_id"].iat[point]))


def chosen_point(map_id: str, among: Iterable[int]) -> int:
    """Return the chosen one of these sentences of a triplet; the first where an address names the triplet alone."""
    points = list(among)
    chosen = st.session_state.get(f"map_point_{map_id}")
    return chosen if chosen in points else points[0]


def choose(triplet_id: str | None) -> None:
    """Choose a triplet, which is drawn with its lines."""
    state.remember(state.TRIPLET, triplet_id)


def clear(map_id: str) -> None:
    """Clear selection and choice."""
    select(map_id, np.zeros(0, dtype=np.int64))
    choose(None)


def focus(map_id: str, point: int) -> None:
    """Move the map to a point in the next run."""
    st.session_state[_COUNTER] = st.session_state.get(_COUNTER, 0) + 1
    st.session_state[f"map_focus_{map_id}"] = {"index": int(point), "mark": st.session_state[_COUNTER]}


def focused(map_id: str) -> dict[str, int] | None:
    """Return the point to move to, with a mark that changes with each request."""
    return st.session_state.get(f"map_focus_{map_id}")


def show(map_id: str, tab: str) -> None:
    """Open a tab below the map in the next run."""
    st.session_state[f"map_next_tab_{map_id}"] = tab


def next_tab(map_id: str) -> str | None:
    """Return the tab to open now, once. A widget's own key cannot be set after it was drawn."""
    return st.session_state.pop(f"map_next_tab_{map_id}", None)


def _sent(map_id: str, event: str) -> Any:
    return st.session_state.get(view_key(map_id), {}).get(event)


def selection_actions(parts: MapParts) -> None:
    """Draw the bar of actions."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if parts.task is None and st.button(
            "Curate these", icon=":material/rule:", type="primary", key=f"map_curate_{parts.map_id}"
        ):
            show(parts.map_id, CURATE)
            st.rerun(scope="fragment")
        if st.button(
            "Use as seeds",
            icon=":material/edit_note:",
            key=f"map_seeds_{parts.map_id}",
            help="Makes a corpus of the selected premises, or of all selected sentences if none is a premise.",
        ):
            _seed(parts)
        with (
            st.popover("Save as a slice", icon=":material/bookmark_add:"),
            st.form(f"map_slice_form_{parts.map_id}", border=False),
        ):
            name = st.text_input("Name of the slice", key=f"map_slice_name_{parts.map_id}")
            if st.form_submit_button("Save"):
                with errors_shown():
                    st.toast(f"The slice holds {_save(parts, name)}.", icon=":material/bookmark:")
        st.download_button(
            "Export",
            data=lambda: export(parts.drawn, parts.selected),
            file_name="map-selection.parquet",
            icon=":material/download:",
            key=f"map_export_{parts.map_id}",
            help="Parquet with x, y, ids and texts. Opens in Embedding Atlas: embedding-atlas map-selection.parquet "
            "--text text --x x --y y",
        )
        st.button("Clear", icon=":material/close:", on_click=clear, args=(parts.map_id,))
    seeds = st.session_state.get(_seeded(parts))
    if seeds:
        label = f"**Generate from {counted(seeds, 'premise')}**"
        st.page_link(GENERATE, label=label, icon=":material/arrow_forward:")


def _save(parts: MapParts, name: str) -> str:
    """Save the selection as a slice of triplets, or of its task's pairs; return how many it holds."""
    if parts.task is None:
        saved = save_slice(parts.workspace, name=name, triplet_ids=parts.selected_ids(), origin=parts.map_id)
        return counted(saved["triplets"], "triplet")
    points = parts.drawn.points
    chosen = points[points["triplet_id"].isin(parts.selected_ids())]
    first, second = (chosen.loc[chosen["role"] == role, "text"] for role in PAIR_ROLES)
    pairs = list(zip(first, second, strict=True))
    kept = save_pair_slice(parts.workspace, name=name, pairs=pairs, task=parts.task, origin=f"map {parts.map_id}")
    return counted(kept["pairs"], "pair")


def _seed(parts: MapParts) -> None:
    chosen = parts.drawn.points.iloc[parts.selected]
    premises = chosen[chosen["role"] == "premise"]
    texts = (premises if len(premises) else chosen)["text"].tolist()
    with errors_shown():
        made = seed_corpus(parts.workspace, texts=texts, name=f"From the map: {counted(len(set(texts)), 'sentence')}")
        state.select(state.CORPUS, made["corpus_id"])
        st.session_state[_seeded(parts)] = made["premises"]


def _seeded(parts: MapParts) -> str:
    """Return the session key of the corpus made from this selection."""
    return f"map_seeded_{parts.map_id}_{mark(parts.selected)}"


def export(drawn: SentenceMap, points: np.ndarray) -> bytes:
    """Return Parquet of these points with all columns of the map and the point's number as `id`."""
    frame = drawn.points.iloc[points].copy()
    frame.insert(0, "id", points)
    return frame.to_parquet(index=False)


def slice_picker(workspace: Workspace, map_id: str, drawn: SentenceMap, task: str | None) -> None:
    """Select a saved slice; a map of pairs offers the slices of its task."""
    saved = saved_slices(workspace, task)
    if not saved:
        st.caption("No slice is saved yet.")
        return
    chosen = st.selectbox(
        "Saved slice",
        list(saved),
        format_func=lambda key: f"{saved[key][0]} ({count(len(saved[key][1]))})",
        key=f"map_slice_{map_id}",
    )
    if st.button("Select it on the map", key=f"map_slice_load_{map_id}"):
        name, ids = saved[chosen]
        wanted = drawn.points["triplet_id"].isin(ids).to_numpy()
        select(map_id, np.flatnonzero(wanted), note=f"Slice {name}")
        show(map_id, "Selected")
        st.rerun(scope="fragment")


_FOUND = 50
_POLL_S = 0.5


def search(workspace: Workspace, map_id: str, drawn: SentenceMap) -> None:
    """Draw the search; its results become the selection, nearest first, and the map moves to the first."""
    pending = st.session_state.get(_pending(map_id))
    with st.form(f"map_search_{map_id}", border=False):
        text = st.text_input("Find sentences", placeholder="A sentence, or part of one", key=f"map_query_{map_id}")
        with st.container(horizontal=True):
            by_words = st.form_submit_button("Containing this text", icon=":material/match_word:")
            by_meaning = st.form_submit_button(
                "Nearest in meaning",
                icon=":material/near_me:",
                disabled=drawn.vectors() is None,
                help="Encodes the sentence and finds its nearest neighbours in the full space.",
            )
    if by_words and text.strip():
        _found(map_id, containing(drawn, text), f"containing “{shorten(text, 40)}”")
        st.rerun(scope="fragment")
    if by_meaning and text.strip():
        with errors_shown():
            started = start_search(workspace, projection_id=map_id, text=text, count=_FOUND)
            st.session_state[_pending(map_id)] = (started["job_id"], text)
            pending = st.session_state[_pending(map_id)]
    if pending:
        _wait(workspace, map_id, *pending)


def containing(drawn: SentenceMap, text: str) -> np.ndarray:
    """Return the points whose sentence contains the text, ignoring case."""
    return np.flatnonzero(drawn.points["text"].str.contains(text.strip(), case=False, regex=False).to_numpy())


def like_point(drawn: SentenceMap, point: int, count: int = _FOUND) -> np.ndarray:
    """Return a point and those nearest to it in the full space."""
    vectors = drawn.vectors()
    if vectors is None:
        return np.array([point])
    rows, _ = nearest(vectors, vectors[point], count=count + 1)
    return np.concatenate([[point], rows[rows != point][:count]])


def _wait(workspace: Workspace, map_id: str, job_id: str, text: str) -> None:
    """Wait for the search without blocking the page."""

    def look() -> None:
        job = workspace.jobs.get(job_id)
        if is_live(job):
            st.caption(f"Searching for sentences like “{plain(shorten(text, 40))}” …")
            return
        st.session_state.pop(_pending(map_id), None)
        found = workspace.jobs.output(job_id, "found.parquet")
        if job.state != "finished" or not found.exists():
            st.error(plain(job.message or "The search was stopped."), icon=":material/error:")
            return
        points = read_table(found)["point"].to_numpy()
        _found(map_id, points, f"nearest to “{shorten(text, 40)}”")
        st.rerun()

    st.fragment(look, run_every=_POLL_S)()


def _found(map_id: str, points: np.ndarray, what: str) -> None:
    select(map_id, points, note=f"{counted(len(points), 'sentence')} {what}")
    show(map_id, "Selected")
    if len(points):
        focus(map_id, int(points[0]))


def _pending(map_id: str) -> str:
    return f"map_search_job_{map_id}"
