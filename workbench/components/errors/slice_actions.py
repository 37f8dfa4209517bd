"""From pairs that fail to better data: triplets like them, the curation queue, a note."""

import pandas as pd
import streamlit as st

from workbench.actions.errors import add_note
from workbench.actions.maps import save_pair_slice, save_slice
from workbench.components import links
from workbench.components.errors.like_these import curate_like_these, generate_like_these
from workbench.components.notice import errors_shown
from workbench.components.text import plain
from workbench.components.to_curation import to_curation
from workbench.components.wording import ago, counted
from workbench.jobs.kinds import GenerateSpec
from workbench.notes import Notes
from workbench.workspace import Workspace

_NOTES_SHOWN = 50


def slice_actions(workspace: Workspace, pairs: pd.DataFrame, *, origin: str, title: str, task: str = "") -> None:
    """Draw the bar: `pairs` are the pairs of the slice, worst first; `origin` names encoder, task and slice.

    Pairs of a task can be saved as a slice of it.
    """
    with st.container(horizontal=True):
        with st.popover("Generate triplets like these", icon=":material/auto_awesome:"):
            generate_like_these(workspace, pairs, origin, title)
        if st.button("Curate triplets like these", icon=":material/rule:"):
            curate_like_these(workspace, pairs, origin, title)
        if task:
            with st.popover("Save as a slice", icon=":material/bookmark_add:"):
                _save_pairs(workspace, pairs, task, origin)
        with st.popover("Note", icon=":material/sticky_note_2:"):
            _note(workspace, origin)
    _made_from(workspace, origin)


def triplet_actions(workspace: Workspace, triplets: pd.DataFrame, *, origin: str) -> None:
    """Draw the bar for triplets themselves, worst first: their premises and hard negatives become the seeds."""
    pairs = triplets.rename(columns={"premise": "sentence1", "hard_negative": "sentence2"})
    with st.container(horizontal=True):
        with st.popover("Generate triplets like these", icon=":material/auto_awesome:"):
            generate_like_these(workspace, pairs, origin, "")
        if st.button(f"Curate these {counted(len(triplets), 'triplet')}", icon=":material/rule:"):
            to_curation(workspace, triplets["triplet_id"].tolist(), name=origin, origin=origin)
        with st.popover("Save as a slice", icon=":material/bookmark_add:"):
            _save_triplets(workspace, triplets["triplet_id"].tolist(), origin)
        with st.popover("Note", icon=":material/sticky_note_2:"):
            _note(workspace, origin)
    _made_from(workspace, origin)


def _made_from(workspace: Workspace, origin: str) -> None:
    """What was generated from here before, with the way to it."""
    made = _attempts_from(workspace, origin)
    if made:
        st.caption(
            plain(f"{counted(len(made), 'generation')} started from this slice: {', '.join(made)}. ")
            + "Accept its triplets in Curate, train, and compare the two encoders here."
        )
        st.page_link(
            links.CURATE, label="To their triplets", icon=":material/rule:", query_params={"attempt": made[0]}
        )


def _attempts_from(workspace: Workspace, origin: str) -> list[str]:
    return [job.job_id for job in workspace.jobs.of(GenerateSpec, lambda spec: spec.origin == origin)]


def _save_pairs(workspace: Workspace, pairs: pd.DataFrame, task: str, origin: str) -> None:
    name = _slice_name(f"Its {counted(len(pairs), 'pair')} stand among the slices of {task}, for every encoder.")
    if name is not None:
        with errors_shown():
            chosen = list(zip(pairs["sentence1"], pairs["sentence2"], strict=True))
            save_pair_slice(workspace, name=name, pairs=chosen, task=task, origin=origin)
            st.rerun()


def _save_triplets(workspace: Workspace, triplet_ids: list[str], origin: str) -> None:
    name = _slice_name(f"Its {counted(len(triplet_ids), 'triplet')} can be curated and shown on a map.")
    if name is not None:
        with errors_shown():
            save_slice(workspace, name=name, triplet_ids=triplet_ids, origin=origin)
            st.toast("Saved", icon=":material/bookmark_added:")


def _slice_name(told: str) -> str | None:
    """Ask for a name; None until it is given."""
    with st.form("slice_form", border=False, clear_on_submit=True):
        name = st.text_input("Name of the slice", max_chars=60, key="slice_name")
        st.caption(plain(told))
        return name if st.form_submit_button("Save") else None


def _note(workspace: Workspace, origin: str) -> None:
    text = st.text_area("What do you see?", key="note_text", height=120)
    if st.button("Keep the note", key="note_keep"):
        with errors_shown():
            add_note(workspace, text=text, about=origin)
    notes = Notes(workspace.root).list()
    here = [note for note in notes if note.about == origin]
    for note in here:
        st.caption(ago(note.created_at))
        st.markdown(plain(note.text))
    elsewhere = [note for note in notes if note.about != origin]
    if elsewhere:
        with st.expander(f"{counted(len(elsewhere), 'note')} about other pairs"):
            for note in elsewhere[:_NOTES_SHOWN]:
                st.caption(plain(f"{note.about}, {ago(note.created_at)}"))
                st.markdown(plain(note.text))
