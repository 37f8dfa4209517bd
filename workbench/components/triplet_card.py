"""One triplet to read: premise on top, positive and hard negative below, what changed standing out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from pipeline.records import Side
from workbench import state, theme
from workbench.actions.analysis import save_slice
from workbench.components import elements
from workbench.components.elements import changes_marked, count, errors_shown, plain, words
from workbench.components.imports import import_button
from workbench.store.lists import Slices
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


_TOP = 5.0

Scores = dict[str, dict[str, float | None]]
"""Judge -> {"a": score of the positive, "b": score of the hard negative}, 0 to 5."""


def triplet_card(triplet: dict[str, Any], scores: Scores) -> None:
    """Draw the triplet with what each judge gave it."""
    with st.container(border=True):
        st.caption("Premise")
        st.subheader(plain(triplet["premise"]), anchor=False)
        left, right = st.columns(2)
        with left:
            _side(triplet, Side.POSITIVE, scores, score="a")
        with right:
            _side(triplet, Side.HARD_NEGATIVE, scores, score="b")


def _side(triplet: dict[str, Any], side: Side, scores: Scores, *, score: str) -> None:
    is_positive = side is Side.POSITIVE
    colour: theme.BadgeColour = "green" if is_positive else "red"
    label = "Positive: entailed" if is_positive else "Hard negative: contradicted"
    with st.container(border=True, height="stretch"):
        st.badge(label, color=colour, icon=":material/check:" if is_positive else ":material/block:")
        st.markdown(changes_marked(str(triplet[side]), shared=words(triplet["premise"]), colour=colour))
        for judge_id, given in scores.items():
            value = given[score]
            if value is not None:
                share = min(1.0, max(0.0, value / _TOP))
                st.progress(share, text=f"{plain(judge_name(judge_id))}  **{value:.2f}** of 5")


def to_curation(workspace: Workspace, triplet_ids: Sequence[str], *, name: str, origin: str) -> None:
    """Save the triplets as a slice and open the queue on it; the link can be shared and opened again later."""
    slice_id = None
    with errors_shown():
        slice_id = _saved(workspace, tuple(triplet_ids), name=name, origin=origin)
    if slice_id is None:
        return
    wanted = {state.VIEW: "Queue", state.ATTEMPT: EVERY, state.AMONG: slice_id}
    state.select(state.ATTEMPT, EVERY)
    state.select(state.AMONG, slice_id)
    state.show_tab(state.VIEW, "Queue")
    st.switch_page(elements.CURATE, query_params=wanted)


def _saved(workspace: Workspace, triplet_ids: tuple[str, ...], *, name: str, origin: str) -> str:
    """Id of a slice of these triplets from this place; the same selection is saved once."""
    for known in Slices(workspace.root).list():
        if known.origin == origin and known.triplet_ids == triplet_ids:
            return known.slice_id
    return str(save_slice(workspace, name=name, triplet_ids=triplet_ids, origin=origin)["slice_id"])


_SENTENCE = 235  # pixels: three sentences, scores, outcome and decision fit a laptop's width
_WRAPPED = 168
WRAPPED_ROW = 80
"""Height from which on the grid breaks a text into lines."""
ROLES = {"premise": "Premise", "positive": "Positive", "hard_negative": "Hard negative"}

COLUMNS = {name: st.column_config.TextColumn(title, width=_SENTENCE) for name, title in ROLES.items()} | {
    "a": st.column_config.NumberColumn("a", format="%.2f", width=56, help="Score of premise and positive"),
    "b": st.column_config.NumberColumn(
        "b", format="%.2f", width=56, help="Score of premise and hard negative, 0 to 5"
    ),
    "outcome": st.column_config.TextColumn("Outcome", width=110),
    "decision": st.column_config.TextColumn("Decision", width=80),
    "finding": st.column_config.TextColumn("Finding", width=220),
    "nearest": st.column_config.TextColumn("Bound by", width=70),
    "margin": st.column_config.NumberColumn("Margin", format="%+.2f", width=70),
}


def triplet_table(
    rows: pd.DataFrame, *, key: str, first: tuple[str, ...] = (), selectable: bool = False, wrapped: bool = False
) -> int | None:
    """Draw the columns that are there, in a fixed order after those named `first`; return the row clicked, if any.

    wrapped: whole sentences, over several lines, in place of as many rows as fit.
    """
    if "positive_outcome" in rows.columns:
        rows = rows.assign(outcome=outcomes(rows))
    shown = [*first, *(name for name in COLUMNS if name in rows.columns and name not in first)]
    filled = [name for name in shown if not rows[name].isna().all()]
    shape: Any = {"hide_index": True, "column_config": COLUMNS, "row_height": 38, "placeholder": "–"}
    if wrapped:
        narrow = {name: st.column_config.TextColumn(ROLES[name], width=_WRAPPED) for name in ROLES}
        shape |= {"row_height": WRAPPED_ROW, "height": "content", "column_config": COLUMNS | narrow}
    if not selectable:
        st.dataframe(rows[filled], key=key, alt="Triplets", **shape)
        return None
    event = st.dataframe(
        rows[filled], key=key, alt="Triplets", on_select="rerun", selection_mode="single-row", **shape
    )
    marked = event.selection.rows
    return marked[0] if marked and marked[0] < len(rows) else None


def outcomes(rows: pd.DataFrame) -> list[str]:
    """Both sides' outcomes in one word where they agree."""
    pairs = zip(rows["positive_outcome"], rows["hard_negative_outcome"], strict=True)
    return [positive if positive == negative else f"{positive} / {negative}" for positive, negative in pairs]
