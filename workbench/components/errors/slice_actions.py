"""Actions on pairs or triplets that fail: generate similar triplets, curate, save as a slice, note."""

import pandas as pd
import streamlit as st

from pipeline.analysis.neighbours import closest_by_words
from pipeline.generation.prompt_sets import fitting_set
from workbench import state
from workbench.actions.analysis import add_note, generate_like, save_pair_slice, save_slice
from workbench.components.elements import CURATE, ago, counted, errors_shown, plain
from workbench.components.triplet_card import to_curation
from workbench.jobs.kinds import GenerateSpec
from workbench.results import members_of, title_of
from workbench.store.files import Notes, PromptSets
from workbench.store.filters import TripletFilter
from workbench.workspace import Workspace

_SLICE_OF = {
    "negation": "negation on one side",
    "number change": "numbers that differ",
    "role swap": "same words, other order",
    "word order": "same words, other order",
    "named entity swap": "names that differ",
}
"""Capability of the behavioural suite -> slice of pairs with the same rule, if there is one."""
_PAIRS = 10
_MOST_PAIRS = 500
_LOOKED_AT = 5000
_BY_WORDS = 50
_NOTES_SHOWN = 50


def generate_like_these(workspace: Workspace, pairs: pd.DataFrame, origin: str, title: str) -> None:
    """Draw the choice of pairs and prompts and the start; `title` is the slice or capability."""
    most = min(_MOST_PAIRS, len(pairs))
    number = st.number_input("Worst pairs to start from", 1, most, min(_PAIRS, most), key="like_pairs")
    texts = texts_of(pairs.head(int(number)))
    sets = {prompts.prompt_set_id: prompts for prompts in PromptSets(workspace.root).newest()}
    fitting = fitting_set(title, texts)
    chosen = st.selectbox(
        "Prompt set", list(sets), index=list(sets).index(fitting), key=f"like_prompts_{fitting}_{origin}"
    )
    st.caption(plain(sets[chosen].about + (" This set fits these pairs." if chosen == fitting else "")))
    omega = st.slider("Contrast ω", 0.0, 0.95, 0.6, 0.05, key="like_omega")
    st.caption(
        "Both sentences of each pair become premises; the triplets record this origin. Training on sentences of a "
        "test set inflates its score: measure the effect on other tasks or pairs."
    )
    if st.button("Start the generation", type="primary", icon=":material/play_arrow:", key="like_start"):
        with errors_shown():
            config = {"omega": omega, "prompt_set": sets[chosen].ref}
            made = generate_like(workspace, texts=texts, origin=origin, config=config)
            state.select(state.ATTEMPT, made["attempt_id"])
            st.toast(f"Generating {counted(made['premises'], 'triplet')}", icon=":material/auto_awesome:")
            st.rerun()


def texts_of(pairs: pd.DataFrame) -> list[str]:
    """Return both sentences of every pair, pair by pair."""
    return [text for pair in zip(pairs["sentence1"], pairs["sentence2"], strict=True) for text in pair]


def curate_like_these(workspace: Workspace, pairs: pd.DataFrame, origin: str, title: str) -> None:
    """Open the queue on triplets of the slice's kind, else on those that share the most words with these pairs."""
    newest = workspace.store.triplets.page(TripletFilter(outcome="ok"), limit=_LOOKED_AT, newest_first=True)
    found = triplets_of_kind(newest, _SLICE_OF.get(title, title))
    if found:
        to_curation(workspace, found, name=f"Like “{title}”", origin=origin)
        return
    found = triplets_by_words(newest, pairs.head(_MOST_PAIRS))
    if found:
        to_curation(workspace, found, name=f"Words like {origin}", origin=origin)
    else:
        st.info("No triplet of this workspace is like these pairs. Generate some.", icon=":material/search_off:")


def triplets_of_kind(triplets: pd.DataFrame, title: str) -> list[str]:
    """Return ids of triplets whose premise and hard negative form a pair of the slice with this title."""
    if triplets.empty:
        return []
    pairs = pd.DataFrame(
        {"sentence1": triplets["premise"], "sentence2": triplets["hard_negative"], "gold": 0.0, "subset": ""}
    )
    members = {title_of(*key): inside for key, inside in members_of(pairs).items()}
    return triplets["triplet_id"][members[title]].tolist() if title in members else []


def triplets_by_words(triplets: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    """Return ids of triplets whose premise and hard negative share most words with one of the pairs, best first."""
    if triplets.empty:
        return []
    wanted = (pairs["sentence1"] + " " + pairs["sentence2"]).tolist()
    rows = closest_by_words(wanted, (triplets["premise"] + " " + triplets["hard_negative"]).tolist(), count=_BY_WORDS)
    return triplets["triplet_id"].iloc[rows].tolist()


def slice_actions(workspace: Workspace, pairs: pd.DataFrame, *, origin: str, title: str, task: str = "") -> None:
    """Draw the actions on pairs, worst first; `origin` names encoder, task and slice. Slices are saved per task."""
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
    """Draw the actions on triplets, worst first; their premises and hard negatives seed a generation."""
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
    """Link to the generation runs started from here."""
    made = [job.job_id for job in workspace.jobs.of(GenerateSpec, lambda spec: spec.origin == origin)]
    if made:
        st.caption(
            plain(f"{counted(len(made), 'generation run')} started from this slice: {', '.join(made)}. ")
            + "Curate the triplets, train, and compare the two encoders here."
        )
        st.page_link(
            CURATE,
            label="Curate its triplets" if len(made) == 1 else "Curate the newest",
            icon=":material/rule:",
            query_params={"attempt": made[0]},
        )


def _save_pairs(workspace: Workspace, pairs: pd.DataFrame, task: str, origin: str) -> None:
    name = _slice_name(f"Saves {counted(len(pairs), 'pair')} as a slice of {task}, listed for every encoder.")
    if name is not None:
        with errors_shown():
            chosen = list(zip(pairs["sentence1"], pairs["sentence2"], strict=True))
            save_pair_slice(workspace, name=name, pairs=chosen, task=task, origin=origin)
            st.rerun()


def _save_triplets(workspace: Workspace, triplet_ids: list[str], origin: str) -> None:
    name = _slice_name(f"Saves {counted(len(triplet_ids), 'triplet')}, to be curated or shown on a map.")
    if name is not None:
        with errors_shown():
            save_slice(workspace, name=name, triplet_ids=triplet_ids, origin=origin)
            st.toast("Saved", icon=":material/bookmark_added:")


def _slice_name(note: str) -> str | None:
    """Draw the form for a name; return it when submitted."""
    with st.form("slice_form", border=False, clear_on_submit=True):
        name = st.text_input("Name of the slice", max_chars=60, key="slice_name")
        st.caption(plain(note))
        return name if st.form_submit_button("Save") else None


def _note(workspace: Workspace, origin: str) -> None:
    text = st.text_area("Your note", key="note_text", height=120)
    if st.button("Save note", key="note_keep"):
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
