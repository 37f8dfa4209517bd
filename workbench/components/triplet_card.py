"""Triplets on screen: the choice of which, one as a card, many as a table, and the way to the curation queue."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
import streamlit as st

from pipeline.records import Side
from workbench import state, theme
from workbench.actions.analysis import save_slice
from workbench.components.elements import CURATE, changes_marked, count, errors_shown, plain, words
from workbench.components.imports import import_button
from workbench.store.files import Slices, read_notes
from workbench.workspace import Workspace

EVERY = "all"
Scores = dict[str, dict[str, float | None]]
"""Judge -> {"a": score of the positive, "b": score of the hard negative}, 0 to 5."""
ROLES = {"premise": "Premise", "positive": "Positive", "hard_negative": "Hard negative"}
WRAPPED_ROW = 80
"""Height in pixels from which the grid wraps a text."""
_WRAPPED = 168
_SENTENCE = 235  # pixels: three sentences, scores, outcome and decision fit the width of a laptop
_TOP = 5.0
COLUMNS = {name: st.column_config.TextColumn(title, width=_SENTENCE) for name, title in ROLES.items()} | {
    "a": st.column_config.NumberColumn("a", format="%.2f", width=56, help="Score of premise and positive, 0 to 5"),
    "b": st.column_config.NumberColumn(
        "b", format="%.2f", width=56, help="Score of premise and hard negative, 0 to 5"
    ),
    "outcome": st.column_config.TextColumn("Outcome", width=110),
    "decision": st.column_config.TextColumn("Decision", width=80),
    "finding": st.column_config.TextColumn("Finding", width=220),
    "nearest": st.column_config.TextColumn("Bound by", width=70),
    "margin": st.column_config.NumberColumn("Margin", format="%+.2f", width=70),
}


@dataclass(frozen=True, slots=True)
class Scope:
    """The chosen generation runs, the judge whose scores are shown, and the chosen slice."""

    attempt_ids: tuple[str, ...]
    judge_id: str | None
    triplet_ids: tuple[str, ...] | None = None
    """Triplets of the chosen slice, to which queue and list are limited; None without one."""


def choose_scope(workspace: Workspace, runs: pd.DataFrame) -> Scope:
    """Draw the pickers of generation run, judge and slice in one row."""
    saved = {item.slice_id: item for item in Slices(workspace.root).list()}
    left, right, *rest, last = st.columns([5, 4, 4, 4] if saved else [5, 4, 3], vertical_alignment="bottom")
    with last:
        import_button(workspace, key="import_more")
    newest_first = runs.sort_values("created_at", ascending=False)
    names = {
        row.attempt_id: f"{row.title or row.attempt_id} ({count(row.ok)} ok)" for row in newest_first.itertuples()
    }
    if len(names) > 1:
        names[EVERY] = f"All generation runs ({count(runs['ok'].sum())} ok)"
    with left:
        largest = largest_judged(newest_first, workspace.store.judgements.judged())
        chosen = state.pick("Triplets of", list(names), name=state.ATTEMPT, names=names, first=largest)
    attempt_ids = tuple(runs["attempt_id"]) if chosen == EVERY else (str(chosen),)
    judges = workspace.store.judgements.judges(list(attempt_ids))
    with right:
        names, first = {judge: judge_name(judge) for judge in judges}, read_notes(workspace.root).judge
        judge_id = state.pick("Judge", judges, name=state.JUDGE, names=names, first=first)
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
                names={EVERY: "All triplets", **titles},
                help="Limits queue and list to a slice saved on a map or under Errors.",
            )
    triplet_ids = saved[chosen_slice].triplet_ids if chosen_slice in saved else None
    return Scope(attempt_ids, judge_id, triplet_ids)


def largest_judged(runs: pd.DataFrame, judged: Mapping[str, int]) -> str:
    """Return the generation run (attempt_id, ok) with most judged triplets, else most usable ones; "" of none."""
    if runs.empty:
        return ""
    order = runs.assign(judged=runs["attempt_id"].map(judged).fillna(0))
    return str(order.sort_values(["judged", "ok"], ascending=False, kind="stable")["attempt_id"].iloc[0])


def judge_name(judge_id: str) -> str:
    """likelihood:smollm2-135m -> Likelihood (smollm2-135m)."""
    kind, _, model = judge_id.partition(":")
    return f"{kind.capitalize()} ({model})" if model else kind.capitalize()


def triplet_card(triplet: dict[str, Any], scores: Scores) -> None:
    """Draw the triplet with the scores of each judge; words missing from the premise stand out."""
    with st.container(border=True):
        st.caption("Premise")
        st.subheader(plain(triplet["premise"]), anchor=False)
        if str(triplet["positive"]).casefold().split() == str(triplet["hard_negative"]).casefold().split():
            st.warning("Both sides say the same: one of them must be wrong.", icon=":material/warning:")
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
    """Save the triplets as a slice and open the queue on it, by a link that can be shared and reopened."""
    with errors_shown():
        slice_id = _saved(workspace, tuple(triplet_ids), name=name, origin=origin)
        state.select(state.ATTEMPT, EVERY)
        state.select(state.AMONG, slice_id)
        state.show_tab(state.VIEW, "Queue")
        wanted = {state.VIEW: "Queue", state.ATTEMPT: EVERY, state.AMONG: slice_id}
        st.switch_page(CURATE, query_params=wanted)


def _saved(workspace: Workspace, triplet_ids: tuple[str, ...], *, name: str, origin: str) -> str:
    """Return the id of a slice of these triplets; an equal one of the same origin is not saved again."""
    for known in Slices(workspace.root).list():
        if known.origin == origin and known.triplet_ids == triplet_ids:
            return known.slice_id
    return str(save_slice(workspace, name=name, triplet_ids=triplet_ids, origin=origin)["slice_id"])


def triplet_table(
    rows: pd.DataFrame,
    *,
    key: str,
    first: tuple[str, ...] = (),
    selection: Literal["", "single-row", "multi-row"] = "",
    wrapped: bool = False,
    row_height: int = 38,
    height: int | Literal["auto"] = "auto",
) -> list[int]:
    """Draw the known columns, those named `first` in front; return the selected rows.

    wrapped: show whole sentences over several lines, in narrow columns. row_height, height: of the table, in pixels.
    """
    if "positive_outcome" in rows.columns:
        rows = rows.assign(outcome=outcomes(rows))
    shown = [*first, *(name for name in COLUMNS if name in rows.columns and name not in first)]
    filled = [name for name in shown if not rows[name].isna().all()]
    shape: Any = {"hide_index": True, "column_config": COLUMNS, "placeholder": "–"}
    shape |= {"row_height": row_height, "height": height}
    if wrapped:
        narrow = {name: st.column_config.TextColumn(ROLES[name], width=_WRAPPED) for name in ROLES}
        shape |= {"row_height": WRAPPED_ROW, "height": "content", "column_config": COLUMNS | narrow}
    if not selection:
        st.dataframe(rows[filled], key=key, alt="Triplets", **shape)
        return []
    event = st.dataframe(rows[filled], key=key, alt="Triplets", on_select="rerun", selection_mode=selection, **shape)
    return [row for row in event.selection.rows if row < len(rows)]


def outcomes(rows: pd.DataFrame) -> list[str]:
    """Return the outcomes of both sides, as one word where they are equal."""
    pairs = zip(rows["positive_outcome"], rows["hard_negative_outcome"], strict=True)
    return [positive if positive == negative else f"{positive} / {negative}" for positive, negative in pairs]


def step(workspace: Workspace, action: Callable[..., dict[str, Any]]) -> None:
    """Undo or redo the last decision of this annotator. For callbacks."""
    with errors_shown():
        if action(workspace, annotator=state.annotator())["batch_id"] is None:
            st.toast(f"Nothing to {action.__name__} for {plain(state.annotator())}.")
