"""Counts per outcome that lead to their rows, and trying again only the premises behind one of them."""

import pandas as pd
import streamlit as st

from pipeline.generation.copies import GUIDE_NEAR_COPY
from pipeline.records import Outcome, Side
from workbench import state, theme
from workbench.actions.generation import start_retry
from workbench.components.generate.generation_form import GenerationChoice
from workbench.components.notice import errors_shown
from workbench.components.text import plain
from workbench.components.triplet_rows import WRAPPED_ROW
from workbench.components.wording import count, counted
from workbench.store.filters import TripletFilter
from workbench.workspace import Workspace

_EXAMPLES = 5
MEANINGS = {
    Outcome.OK: "usable",
    Outcome.COPY: "the premise again, or the positive again as hard negative, up to case and punctuation",
    Outcome.NEAR_COPY: "the premise again with almost the same words",
    Outcome.EMPTY: "no letters or digits",
    Outcome.TRUNCATED: "reached the longest reply",
    Outcome.MALFORMED: "an announcement, code or JSON without a sentence",
    Outcome.REFUSED: "talks about the task in place of doing it",
    Outcome.LOOP: "repeats itself",
    Outcome.WRONG_LANGUAGE: "another language or script than the premise",
    Outcome.TOO_LONG: "does not fit the LLM's window",
    Outcome.FAILED: "could not be written",
}


def outcome_examples(workspace: Workspace, attempt_id: str, counts: pd.DataFrame, choice: GenerationChoice) -> None:
    """Draw an outcome picker with counts, rows of the chosen one, and the retry of its premises."""
    totals = counts.groupby("outcome")["count"].sum()
    present = [str(outcome) for outcome in Outcome if totals.get(str(outcome), 0)]
    if not present:
        return
    wanted = state.recall(state.OUTCOME)
    failed = [name for name in present if name != Outcome.OK]
    key = f"outcome_{attempt_id}"
    if st.session_state.get(key) not in present:
        st.session_state[key] = wanted if wanted in present else (failed or present)[0]
    chosen = st.pills(
        "Rows by outcome",
        present,
        format_func=lambda name: f"{name.replace('_', ' ')} {count(totals[name])}",
        required=True,
        key=key,
    )
    outcome = Outcome(str(chosen))
    state.remember(state.OUTCOME, str(outcome))
    st.caption(f"{outcome.replace('_', ' ')}: {MEANINGS[outcome]}. A row is counted once per side.")
    rows = workspace.store.triplets.page(
        TripletFilter(attempt_ids=(attempt_id,), outcome=str(outcome)), limit=_EXAMPLES, newest_first=True
    )
    st.dataframe(
        examples(rows, outcome),
        hide_index=True,
        row_height=WRAPPED_ROW,
        key=f"examples_{outcome}",
        alt=f"Rows that are {outcome}",
        column_config={
            "Premise": st.column_config.TextColumn(width=250),
            "Side": st.column_config.TextColumn(width=105),
            "Written": st.column_config.TextColumn(width=250),
        },
    )
    if outcome is not Outcome.OK:
        _retry(workspace, attempt_id, outcome, choice)
    else:
        guide_near_copies(workspace, attempt_id)


def guide_near_copies(workspace: Workspace, attempt_id: str) -> None:
    """Draw the usable sentences that a guide's cosine calls near copies; nothing before a guide has judged."""
    found = workspace.store.judgements.near_copies(attempt_id, least_cosine=GUIDE_NEAR_COPY)
    if found.empty:
        return
    st.markdown(f"**{counted(len(found), 'near copy', 'near copies')} by the guide's cosine**")
    st.caption(f"Their words differ enough to be ok; their cosine with the premise is {GUIDE_NEAR_COPY:g} or more.")
    shown = found.head(4 * _EXAMPLES).assign(side=found["side"].map(theme.ROLE_NAMES))
    st.dataframe(
        shown.rename(columns={"premise": "Premise", "side": "Side", "written": "Written", "cosine": "Cosine"}),
        hide_index=True,
        key="guide_near_copies",
        alt="Near copies by the guide's cosine",
        column_config={"Cosine": st.column_config.NumberColumn(format="%.3f", width="small")},
    )


def examples(rows: pd.DataFrame, outcome: Outcome) -> pd.DataFrame:
    """One line per side that ended like this: premise, side, what was written."""
    found = [
        {"Premise": row["premise"], "Side": theme.ROLE_NAMES[side], "Written": row[side]}
        for row in rows.to_dict("records")
        for side in Side
        if row[f"{side}_outcome"] == outcome
    ]
    return pd.DataFrame(found, columns=["Premise", "Side", "Written"])


def _retry(workspace: Workspace, attempt_id: str, outcome: Outcome, choice: GenerationChoice) -> None:
    chosen = TripletFilter(attempt_ids=(attempt_id,), outcome=str(outcome))
    premises = workspace.store.triplets.count(chosen)
    with st.container(horizontal=True, vertical_alignment="center"):
        these = "this premise" if premises == 1 else f"these {counted(premises, 'premise')}"
        pressed = st.button(f"Retry only {these}", icon=":material/replay:", key=f"retry_{outcome}")
        st.caption(f"With the settings of the form ({plain(in_words(choice))}); this attempt stays as it is.")
    if pressed:
        with errors_shown():
            made = start_retry(workspace, attempt_id=attempt_id, outcome=str(outcome), config=choice.config)
            state.select(state.ATTEMPT, made["attempt_id"])
            st.rerun()


def in_words(choice: GenerationChoice) -> str:
    """The settings that matter most, in one line."""
    config = choice.config
    sampling = "greedy" if not config["temperature"] else f"temperature {config['temperature']:g}"
    return f"ω {config['omega']:g}, {choice.prompts.ref}, {sampling}, seed {config['seed']}"
