"""The rule: thresholds over the judged plane, what they keep and lose, the triplets at the border, the snapshot."""

from dataclasses import asdict, astuple

import numpy as np
import pandas as pd
import streamlit as st

from pipeline.config import CurationRule
from workbench import state
from workbench.actions.curation import curate
from workbench.actions.judging import known_calibrations
from workbench.components import links
from workbench.components.curate.funnel import funnel
from workbench.components.curate.judges_view import chance_warning
from workbench.components.curate.list_filters import open_list
from workbench.components.curate.rule_sliders import rule_sliders, save_rule, set_rule
from workbench.components.curate.score_plane import score_plane
from workbench.components.curation_scope import Scope
from workbench.components.notice import errors_shown
from workbench.components.text import plain
from workbench.components.triplet_rows import triplet_table
from workbench.components.wording import count, counted, percent
from workbench.workspace import Workspace

_BINS = 50
_AT_BORDER = 10
_SAMPLE = 50_000
"""Triplets looked through for the border; a larger set is sampled, always the same way."""
_FROZEN = "rule_frozen"
"""What was frozen last; it stays on the page, unlike a toast."""


def rule_view(workspace: Workspace, scope: Scope) -> None:
    """Draw the plane, the sliders and what follows from them."""
    if scope.judge_id is None:
        st.info("Nobody has judged these triplets yet. Judge them above, then set the rule here.")
        return
    used = workspace.store.judgements.calibrations(list(scope.attempt_ids))
    chance_warning(known_calibrations(workspace), used, scope.judge_id)
    picture, settings = st.columns([3, 2], gap="large")
    with settings:
        rule = rule_sliders(workspace)
        _losses(workspace, scope, scope.judge_id, rule)
        with st.container(horizontal=True):
            save_rule(workspace, rule)
            _freeze(workspace, scope, rule)
        _frozen()
    with picture:
        counts = workspace.store.judgements.histogram(list(scope.attempt_ids), scope.judge_id, _BINS)
        _cell(score_plane(np.asarray(counts), rule, key="plane", on_rule=set_rule))
    funnel(workspace, scope, rule)
    _border(workspace, scope, scope.judge_id, rule)


def _losses(workspace: Workspace, scope: Scope, judge_id: str, rule: CurationRule) -> None:
    counts = workspace.store.judgements.rule_counts(list(scope.attempt_ids), judge_id, rule)
    judged, kept = counts["judged"], counts["kept"]
    st.metric(
        "Kept by the rule",
        count(kept),
        f"{percent(kept, judged)} of {count(judged)} judged",
        delta_color="off",
        delta_arrow="off",
    )
    _flips(workspace, scope, rule)
    rows = pd.DataFrame(
        {
            "condition": [f"a ≥ {rule.alpha:g}", f"b ≤ {rule.beta:g}", f"a ≥ b + {rule.gamma:g}"],
            "lost": [counts["alpha"], counts["beta"], counts["gamma"]],
        }
    )
    st.dataframe(
        rows,
        hide_index=True,
        alt="Triplets lost by each condition",
        column_config={
            "condition": "Condition",
            "lost": st.column_config.ProgressColumn(
                "Lost, in this order", format="%d", min_value=0, max_value=max(1, int(judged))
            ),
        },
    )


def _flips(workspace: Workspace, scope: Scope, rule: CurationRule) -> None:
    """Say what the last move of a threshold took in and left out."""
    now = astuple(rule)
    before, after = st.session_state.get("rule_moves", (now, now))
    if now != after:
        before, after = after, now
        st.session_state["rule_moves"] = (before, after)
    st.session_state.setdefault("rule_moves", (before, after))
    if before != after:
        gained, lost = workspace.store.funnels.flips(list(scope.attempt_ids), str(scope.judge_id), before, after)
        st.caption(f"Last move: {count(gained)} taken in, {count(lost)} left out.")


def _cell(cell: tuple[tuple[float, float], tuple[float, float]] | None) -> None:
    if cell is None:
        return
    (a_low, a_high), (b_low, b_high) = ((round(low, 2), round(high, 2)) for low, high in cell)
    st.button(
        f"Triplets with a from {a_low:g} to {a_high:g} and b from {b_low:g} to {b_high:g}",
        icon=":material/list:",
        on_click=open_list,
        kwargs={"a": (max(0.0, a_low), a_high), "b": (max(0.0, b_low), b_high)},
        key="open_cell",
    )


def _freeze(workspace: Workspace, scope: Scope, rule: CurationRule) -> None:
    with st.popover("Freeze a snapshot", icon=":material/ac_unit:", width="stretch"):
        st.caption("A snapshot keeps exactly these triplets for training; people's decisions outrank the rule.")
        name = st.text_input(
            "Name", value=f"{rule.alpha:g}-{rule.beta:g}-{rule.gamma:g}", key="snapshot_name", max_chars=80
        )
        if st.button("Freeze", type="primary", key="freeze"):
            with errors_shown():
                made = curate(
                    workspace,
                    attempt_ids=list(scope.attempt_ids),
                    judge_id=scope.judge_id,
                    rule=asdict(rule),
                    name=name.strip() or "snapshot",
                )
                state.select(state.SNAPSHOT, made["snapshot_id"])
                st.session_state[_FROZEN] = f"Snapshot {made['name']} holds {counted(made['triplets'], 'triplet')}."
                st.rerun()


def _frozen() -> None:
    if told := st.session_state.get(_FROZEN):
        st.success(plain(told), icon=":material/ac_unit:")
        st.page_link(links.TRAIN, label="Train an encoder on it", icon=":material/arrow_forward:")


def _border(workspace: Workspace, scope: Scope, judge_id: str, rule: CurationRule) -> None:
    plane = workspace.store.judgements.plane(list(scope.attempt_ids), judge_id, limit=_SAMPLE)
    nearest = at_border(plane, rule, _AT_BORDER)
    if nearest.empty:
        return
    st.subheader("At the border", anchor=False)
    st.caption("The triplets that a small move of the rule would take in (+ kept now) or leave out (- lost now).")
    texts = pd.DataFrame([workspace.store.triplets.get(triplet_id) for triplet_id in nearest["triplet_id"]])
    texts = texts[["triplet_id", "premise", "positive", "hard_negative"]]
    triplet_table(nearest.merge(texts, on="triplet_id"), key="border", first=("margin", "nearest"))


def at_border(plane: pd.DataFrame, rule: CurationRule, limit: int) -> pd.DataFrame:
    """Return the triplets with the smallest distance to being decided otherwise.

    The margin of a triplet is the least of its three slacks: positive when kept, negative when lost, and
    `nearest` names the threshold that binds it.
    """
    slack = pd.DataFrame(
        {
            "α": plane["a"] - rule.alpha,
            "β": rule.beta - plane["b"],
            "γ": plane["a"] - plane["b"] - rule.gamma,
        }
    )
    result = plane.assign(margin=slack.min(axis=1))
    result = result.loc[result["margin"].abs().sort_values(kind="stable").index[:limit]]
    return result.assign(nearest=slack.loc[result.index].idxmin(axis=1))
