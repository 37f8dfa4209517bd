"""What a selection on the map can become: a queue, seeds for generation, a slice, a file."""

from io import BytesIO

import numpy as np
import streamlit as st

from workbench import state
from workbench.actions.maps import save_pair_slice, save_slice, seed_corpus
from workbench.components import links
from workbench.components.map import map_selection
from workbench.components.map.map_parts import CURATE, MapParts, mark
from workbench.components.notice import errors_shown
from workbench.components.wording import count, counted
from workbench.map_files import SentenceMap
from workbench.map_sentences import PAIR_ROLES
from workbench.pair_slices import PairSlices
from workbench.slices import Slices
from workbench.workspace import Workspace


def selection_actions(parts: MapParts) -> None:
    """Draw the bar of actions."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if parts.task is None and st.button(
            "Curate these", icon=":material/rule:", type="primary", key=f"map_curate_{parts.map_id}"
        ):
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
        st.button("Clear", icon=":material/close:", on_click=map_selection.clear, args=(parts.map_id,))
    seeds = st.session_state.get(_seeded(parts))
    if seeds:
        label = f"**Generate from {counted(seeds, 'premise')}**"
        st.page_link(links.GENERATE, label=label, icon=":material/arrow_forward:")


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
    """Session key of the corpus made from this selection: another selection, another key."""
    return f"map_seeded_{parts.map_id}_{mark(parts.selected)}"


def export(drawn: SentenceMap, points: np.ndarray) -> bytes:
    """Parquet of these points with every column of the map, and the point's number as `id`."""
    buffer = BytesIO()
    frame = drawn.points.iloc[points].copy()
    frame.insert(0, "id", points)
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def slice_picker(workspace: Workspace, map_id: str, drawn: SentenceMap, task: str | None) -> None:
    """Bring a saved slice back as the selection; a map of pairs offers the slices of its task."""
    if task is None:
        known = [(item.slice_id, item.name, item.triplet_ids) for item in Slices(workspace.root).list()]
    else:
        known = [(item.slice_id, item.name, item.pair_ids) for item in PairSlices(workspace.root).list(task)]
    if not known:
        st.caption("No slice is saved yet.")
        return
    saved = {slice_id: (name, ids) for slice_id, name, ids in known}
    chosen = st.selectbox(
        "Saved slice",
        list(saved),
        format_func=lambda key: f"{saved[key][0]} ({count(len(saved[key][1]))})",
        key=f"map_slice_{map_id}",
    )
    if st.button("Select it on the map", key=f"map_slice_load_{map_id}"):
        name, ids = saved[chosen]
        wanted = drawn.points["triplet_id"].isin(ids).to_numpy()
        map_selection.select(map_id, np.flatnonzero(wanted), note=f"Slice {name}")
        map_selection.show(map_id, "Selected")
        st.rerun(scope="fragment")
