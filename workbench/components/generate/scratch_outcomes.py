"""The attempts of a corpus written from scratch: counts per outcome that lead to their sentences."""

import pandas as pd
import streamlit as st

from pipeline.config import ScratchConfig
from pipeline.generation.premise_filing import PremiseOutcome, chosen_genres
from pipeline.generation.premise_prompts import TOPICS
from workbench.components.text import plain
from workbench.components.wording import count, counted
from workbench.workspace import Workspace

_SHOWN = 200
MEANINGS = {
    PremiseOutcome.OK: "premises of the corpus",
    PremiseOutcome.DUPLICATE: "the words of an earlier premise, or of an example of the prompt",
    PremiseOutcome.NEAR_DUPLICATE: "almost the words of an earlier premise",
    PremiseOutcome.CELL_FULL: "sound, but its cell of topic, genre and length holds all that it should",
    PremiseOutcome.OTHER_LENGTH: "of a length that was not wanted",
    PremiseOutcome.MALFORMED: "no whole sentence, or a question that does not ask",
    PremiseOutcome.LOOP: "repeats itself",
    PremiseOutcome.REFUSED: "talks about the task in place of doing it",
    PremiseOutcome.EMPTY: "no letters or digits",
    PremiseOutcome.TRUNCATED: "reached the longest premise",
    PremiseOutcome.FAILED: "could not be written",
}


def scratch_outcomes(
    workspace: Workspace, corpus_id: str, config: ScratchConfig, clicked: tuple[str, str] | None
) -> None:
    """Draw filters by topic and genre, which a click on a cell sets, the outcomes and the sentences."""
    topic, genre = _filters(corpus_id, config, clicked)
    counts = workspace.store.premise_attempts.outcome_counts(corpus_id, topic=topic, genre=genre)
    if not counts:
        st.caption("Nothing has been written there yet.")
        return
    key = f"scratch_outcome_{corpus_id}"
    if st.session_state.get(key) not in counts:
        st.session_state[key] = "ok" if "ok" in counts else next(iter(counts))
    chosen = st.pills(
        f"{counted(sum(counts.values()), 'attempt')} by outcome",
        list(counts),
        format_func=lambda name: f"{name.replace('_', ' ')} {count(counts[name])}",
        required=True,
        key=key,
    )
    outcome = PremiseOutcome(str(chosen))
    rows = workspace.store.premise_attempts.page(corpus_id, outcome=outcome, topic=topic, genre=genre, limit=_SHOWN)
    more = f" The first {count(_SHOWN)} are shown." if counts[outcome] > _SHOWN else ""
    st.caption(plain(f"{outcome.replace('_', ' ')}: {MEANINGS[outcome]}.{more}"))
    _sentences(rows, outcome)


def _filters(corpus_id: str, config: ScratchConfig, clicked: tuple[str, str] | None) -> tuple[str, str]:
    keys = f"scratch_topic_{corpus_id}", f"scratch_genre_{corpus_id}"
    seen = f"scratch_clicked_{corpus_id}"
    if clicked != st.session_state.get(seen):
        st.session_state[seen] = clicked
        for key, value in zip(keys, clicked or ("", ""), strict=True):
            st.session_state[key] = value
    left, right = st.columns(2)
    topics = ["", *(config.topics or TOPICS)]
    genres = ["", *(genre.name for genre in chosen_genres(config))]
    topic = left.selectbox("Topic", topics, format_func=lambda name: name or "All topics", key=keys[0])
    genre = right.selectbox("Genre", genres, format_func=lambda name: name or "All genres", key=keys[1])
    return str(topic), str(genre)


def _sentences(rows: pd.DataFrame, outcome: PremiseOutcome) -> None:
    shown = ["text", "topic", "genre", "length", "asked"]
    if outcome is PremiseOutcome.FAILED:
        shown = ["reason", "topic", "genre", "asked"]
    st.dataframe(
        rows[shown],
        hide_index=True,
        key=f"scratch_rows_{outcome}",
        alt=f"Sentences that are {outcome}",
        column_config={
            "text": st.column_config.TextColumn("Sentence", width=330),
            "reason": st.column_config.TextColumn("Why", width=330),
            "topic": st.column_config.TextColumn("Topic", width=100),
            "genre": st.column_config.TextColumn("Genre", width=80),
            "length": st.column_config.TextColumn("Length", width=70),
            "asked": st.column_config.TextColumn("Asked for", width=80),
        },
    )
