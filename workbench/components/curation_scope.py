"""Which triplets and which judge the page Curate is about; both live in the URL."""

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from workbench import state
from workbench.components.triplets_import import import_button
from workbench.components.wording import count
from workbench.slices import Slices
from workbench.workspace import Workspace

EVERY = "all"


@dataclass(frozen=True, slots=True)
class Scope:
    """The chosen attempts, and the chosen judge when one has judged them."""

    attempt_ids: tuple[str, ...]
    judge_id: str | None
    triplet_ids: tuple[str, ...] | None = None
    """Triplets of the chosen slice; None without one. Queue and list keep to it."""


def choose_scope(workspace: Workspace, attempts: pd.DataFrame) -> Scope:
    """Draw the two pickers in one row."""
    saved = {item.slice_id: item for item in Slices(workspace.root).list()}
    left, right, *rest, last = st.columns([4, 4, 4, 3] if saved else [4, 4, 2], vertical_alignment="bottom")
    with last:
        import_button(workspace, key="import_more")
    newest_first = attempts.sort_values("created_at", ascending=False)
    names = {
        row.attempt_id: f"{row.title or row.attempt_id} ({count(row.ok)} ok)" for row in newest_first.itertuples()
    }
    if len(names) > 1:
        names[EVERY] = f"All attempts ({count(attempts['ok'].sum())} ok)"
    with left:
        chosen = state.pick("Triplets of", list(names), name=state.ATTEMPT, names=names)
    attempt_ids = tuple(attempts["attempt_id"]) if chosen == EVERY else (str(chosen),)
    judges = workspace.store.judgements.judges(list(attempt_ids))
    with right:
        judge_id = state.pick("Judge", judges, name=state.JUDGE, names={judge: judge_name(judge) for judge in judges})
        if judge_id is None:
            st.selectbox("Judge", ["not judged yet"], disabled=True, key="no_judge")
    chosen_slice = None
    if saved:
        titles = {key: f"{item.name} ({count(len(item.triplet_ids))})" for key, item in saved.items()}
        with rest[0]:
            chosen_slice = state.pick(
                "Slice",
                [EVERY, *saved],
                name=state.AMONG,
                names={EVERY: "Every triplet", **titles},
                help="Queue and list keep to a slice that was saved on a map or under Errors.",
            )
    triplet_ids = saved[chosen_slice].triplet_ids if chosen_slice in saved else None
    return Scope(attempt_ids, judge_id, triplet_ids)


def judge_name(judge_id: str) -> str:
    """likelihood:smollm2-135m -> Likelihood (smollm2-135m)."""
    kind, _, model = judge_id.partition(":")
    return f"{kind.capitalize()} ({model})" if model else kind.capitalize()
