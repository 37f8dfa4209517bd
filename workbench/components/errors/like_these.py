"""From failing pairs to triplets like them: generated anew, or found among those of the workspace."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from pipeline.analysis.word_neighbours import closest_by_words
from pipeline.generation.targeted_prompts import fitting_set
from workbench import state
from workbench.actions.errors import generate_like
from workbench.components.notice import errors_shown
from workbench.components.slice_figure import title_of
from workbench.components.slice_view import members_of
from workbench.components.text import plain
from workbench.components.to_curation import to_curation
from workbench.components.wording import counted
from workbench.prompt_sets import PromptSets
from workbench.store.triplets import TripletFilter
from workbench.workspace import Workspace

_SLICE_OF = {
    "negation": "negation on one side",
    "number change": "numbers that differ",
    "role swap": "same words, other order",
    "word order": "same words, other order",
    "named entity swap": "names that differ",
}
"""Capability of the behavioural suite -> slice of pairs with the same rule, where there is one."""
_PAIRS = 10
_MOST_PAIRS = 500
_LOOKED_AT = 5000
_BY_WORDS = 50


def generate_like_these(workspace: Workspace, pairs: pd.DataFrame, origin: str, title: str) -> None:
    """Ask how many of the worst pairs and which prompts, and start; `title` names slice or capability."""
    most = min(_MOST_PAIRS, len(pairs))
    number = st.number_input("Worst pairs to start from", 1, most, min(_PAIRS, most), key="like_pairs")
    texts = texts_of(pairs.head(int(number)))
    sets = {prompts.prompt_set_id: prompts for prompts in PromptSets(workspace.root).newest()}
    fitting = fitting_set(title, texts)
    chosen = st.selectbox(
        "Prompt set", list(sets), index=list(sets).index(fitting), key=f"like_prompts_{fitting}_{origin}"
    )
    st.caption(plain(sets[chosen].about + (" The set that fits these pairs." if chosen == fitting else "")))
    omega = st.slider("Contrast ω", 0.0, 0.95, 0.6, 0.05, key="like_omega")
    st.caption(
        "Both sentences of each pair become premises. Triplets keep where they came from. Sentences of a test set in "
        "training make its score there too good: judge the change on other tasks or other pairs."
    )
    if st.button("Start the generation", type="primary", icon=":material/play_arrow:", key="like_start"):
        with errors_shown():
            config = {"omega": omega, "prompt_set": sets[chosen].ref}
            made = generate_like(workspace, texts=texts, origin=origin, config=config)
            state.select(state.ATTEMPT, made["attempt_id"])
            st.toast(f"Generating {counted(made['premises'], 'triplet')}", icon=":material/auto_awesome:")
            st.rerun()


def texts_of(pairs: pd.DataFrame) -> list[str]:
    """Both sentences of every pair, pair after pair."""
    return [text for pair in zip(pairs["sentence1"], pairs["sentence2"], strict=True) for text in pair]


def curate_like_these(workspace: Workspace, pairs: pd.DataFrame, origin: str, title: str) -> None:
    """Open the queue on triplets of the slice's kind, else on those that share most words with these pairs."""
    newest = workspace.store.triplets.page(TripletFilter(outcome="ok"), limit=_LOOKED_AT, newest_first=True)
    found = triplets_of_kind(newest, _SLICE_OF.get(title, title))
    if found:
        to_curation(workspace, found, name=f"Like “{title}”", origin=origin)
        return
    found = triplets_by_words(newest, pairs.head(_MOST_PAIRS))
    if found:
        to_curation(workspace, found, name=f"Words like {origin}", origin=origin)
    else:
        st.info("No triplet of this workspace is like these pairs: generate some.", icon=":material/search_off:")


def triplets_of_kind(triplets: pd.DataFrame, title: str) -> Sequence[str]:
    """Ids of the triplets whose premise and hard negative form a pair of the slice of this title."""
    if triplets.empty:
        return []
    pairs = pd.DataFrame(
        {"sentence1": triplets["premise"], "sentence2": triplets["hard_negative"], "gold": 0.0, "subset": ""}
    )
    members = {title_of(*key): inside for key, inside in members_of(pairs).items()}
    return triplets["triplet_id"][members[title]].tolist() if title in members else []


def triplets_by_words(triplets: pd.DataFrame, pairs: pd.DataFrame) -> Sequence[str]:
    """Ids of the triplets whose premise and hard negative share most words with one of the pairs, best first."""
    if triplets.empty:
        return []
    wanted = (pairs["sentence1"] + " " + pairs["sentence2"]).tolist()
    rows = closest_by_words(wanted, (triplets["premise"] + " " + triplets["hard_negative"]).tolist(), count=_BY_WORDS)
    return triplets["triplet_id"].iloc[rows].tolist()
