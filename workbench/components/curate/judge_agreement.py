"""Judges against people and against each other: what the rule on their scores gets right."""

from typing import Any, Final

import numpy as np
import pandas as pd
import streamlit as st

from pipeline.config import CurationRule
from pipeline.curation.rules import MIN_DECISIONS, best_rule, keeps, measure_judge, measure_rule, slack
from pipeline.records import InputError
from workbench import state
from workbench.actions.curation import save_guidelines
from workbench.components.curate.curation_settings import set_rule
from workbench.components.elements import count, counted, plain, press
from workbench.components.triplet_card import WRAPPED_ROW, Scope, judge_name, triplet_table
from workbench.jobs.kinds import JudgeSpec
from workbench.store.files import read_notes
from workbench.store.filters import TripletFilter
from workbench.workspace import Workspace

_MOST_SHOWN: Final = 50
_FEW: Final = 50
"""Decided triplets below which a judge's figures say little."""


def judges_against_people(workspace: Workspace, scope: Scope, judges: list[str], rule: CurationRule) -> None:
    """Draw a row per judge on what people decided; the chosen row opens its disagreements and may become the default.

    The figures are about the slack: how far a triplet lies inside the rule by the scores of the judge.
    """
    st.subheader("Judges against people", anchor=False)
    default, costs = read_notes(workspace.root).judge, _costs(workspace, scope)
    scores = {judge: workspace.store.funnels.decided_scores(list(scope.attempt_ids), judge) for judge in judges}
    rows = [_row(judge, scores[judge], rule, costs, is_default=judge == default) for judge in judges]
    chosen = _table(rows)
    most = max(row["Decided"] for row in rows)
    if most < _FEW:
        st.caption(f"{counted(most, 'decided triplet')}: decide {_FEW} or more in the queue before relying on these.")
    judge = judges[chosen] if chosen is not None and chosen < len(judges) else None
    if judge is None:
        st.caption("Select a row to see where its judge and people differ, or to make it the default.")
        return
    st.button(
        f"Begin with {plain(judge_name(judge))}",
        icon=":material/star:",
        disabled=judge == default,
        help="Curate then opens with this judge in this workspace.",
        key="default_judge",
        on_click=_make_default,
        args=(workspace, judge),
    )
    _disagreements(workspace, judge, scores[judge], rule)


def _row(
    judge: str, decided: pd.DataFrame, rule: CurationRule, costs: dict[str, float], *, is_default: bool
) -> dict[str, Any]:
    a, b = decided["a"].to_numpy(), decided["b"].to_numpy()
    fit = measure_judge(rule, a, b, (decided["action"] == "accept").to_numpy())
    return {
        "Judge": judge_name(judge) + (" (default)" if is_default else ""),
        "Decided": fit.decisions,
        "Tau": fit.tau,
        "Spearman": fit.spearman,
        "Error": fit.error.words(".0%") if fit.decisions else None,
        "Seconds": costs.get(judge),
    }


def _table(rows: list[dict[str, Any]]) -> int | None:
    event = st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        key="judges_people",
        on_select="rerun",
        selection_mode="single-row",
        alt="Judges against people",
        placeholder="–",
        column_config={
            "Decided": st.column_config.NumberColumn(help="Triplets that people decided and this judge scored."),
            "Tau": st.column_config.NumberColumn(
                format="%.2f", help="Kendall's tau-b of acceptance and the triplet's distance inside the rule."
            ),
            "Spearman": st.column_config.NumberColumn(format="%.2f", help="Spearman's correlation of the two."),
            "Error": st.column_config.TextColumn(
                help="Share of decided triplets that the rule treats otherwise than people, with its 95 % interval."
            ),
            "Seconds": st.column_config.NumberColumn(
                "Seconds per 1,000", format="%.1f", help="Of its last job on these triplets, without loading."
            ),
        },
    )
    return next(iter(event.selection.rows), None)


def _costs(workspace: Workspace, scope: Scope) -> dict[str, float]:
    """Return judge -> seconds per 1,000 triplets in its newest job on these runs."""
    found: dict[str, float] = {}
    for job in workspace.jobs.of(JudgeSpec, lambda spec: not set(spec.attempt_ids).isdisjoint(scope.attempt_ids)):
        for judge, spent in job.details.get("cost", {}).items():
            found.setdefault(judge, 1000 * spent["seconds"] / spent["triplets"])
    return found


def _disagreements(workspace: Workspace, judge: str, decided: pd.DataFrame, rule: CurationRule) -> None:
    a, b = decided["a"].to_numpy(), decided["b"].to_numpy()
    wrong = decided[keeps(rule, a, b) != (decided["action"] == "accept").to_numpy()]
    if wrong.empty:
        st.caption("The rule on its scores and people agree on every decided triplet.")
        return
    margin = pd.Series(slack(rule, wrong["a"].to_numpy(), wrong["b"].to_numpy()), index=wrong.index)
    worst = wrong.assign(margin=margin).loc[margin.abs().sort_values(ascending=False).index][:_MOST_SHOWN]
    st.caption(
        f"{counted(len(wrong), 'disagreement')}, farthest from the border first; the rule is α {rule.alpha:g}, "
        f"β {rule.beta:g}, γ {rule.gamma:g}. A positive margin: kept by the rule, not accepted by people."
    )
    chosen = TripletFilter(judge_id=judge, triplet_ids=tuple(worst["triplet_id"]))
    texts = workspace.store.triplets.rows(chosen).drop(columns=["a", "b"], errors="ignore")
    rows = worst.drop(columns="action").merge(texts, on="triplet_id")
    triplet_table(rows, key="disagreements", first=("margin", "decision"), row_height=WRAPPED_ROW)


def _make_default(workspace: Workspace, judge: str) -> None:
    press(save_guidelines, workspace, judge=judge)
    state.select(state.JUDGE, judge)


def rule_against_people(workspace: Workspace, scope: Scope, rule: CurationRule) -> None:
    """Draw precision and recall of the rule on decided triplets, the best thresholds, and the judges' agreement."""
    st.subheader("The rule against people, and judges between them", anchor=False)
    decided = workspace.store.funnels.decided_scores(list(scope.attempt_ids), str(scope.judge_id))
    a, b = decided["a"].to_numpy(), decided["b"].to_numpy()
    accepted = (decided["action"] == "accept").to_numpy()
    if len(decided) < MIN_DECISIONS:
        st.caption(f"The rule is measured once {MIN_DECISIONS} triplets are decided; so far {count(len(decided))}.")
    else:
        _measured(rule, a, b, accepted)
    _judges(workspace, scope, rule)


def _measured(rule: CurationRule, a: np.ndarray, b: np.ndarray, accepted: np.ndarray) -> None:
    fit = measure_rule(rule, a, b, accepted)
    st.markdown(
        f"Of {count(fit.decisions)} decided triplets, people accepted {count(fit.accepted)} unchanged. "
        f"Precision **{fit.precision.words('.2f')}**, recall **{fit.recall.words('.2f')}**."
    )
    try:
        best = best_rule(a, b, accepted)
    except InputError as error:
        st.caption(str(error))
        return
    found = best.fit.rule
    st.markdown(
        f"Best thresholds on a grid: α **{found.alpha:g}** ({best.alpha.range('g')}), "
        f"β **{found.beta:g}** ({best.beta.range('g')}), "
        f"γ **{found.gamma:g}** ({best.gamma.range('g')}); F1 {best.fit.f1.words('.2f')}, now {fit.f1.words('.2f')}. "
        "In brackets: 95% bootstrap intervals from 200 resamples."
    )
    st.button("Use these thresholds", on_click=set_rule, args=(found,), key="use_best_rule")


def _judges(workspace: Workspace, scope: Scope, rule: CurationRule) -> None:
    limits = (rule.alpha, rule.beta, rule.gamma)
    table = workspace.store.funnels.judge_agreement(list(scope.attempt_ids), limits)
    if table.empty:
        st.caption("Add a second judge to see how far the two agree.")
        return
    shown = table.assign(first=table["first"].map(judge_name), second=table["second"].map(judge_name))
    st.dataframe(
        shown,
        hide_index=True,
        alt="Agreement of judges",
        column_config={
            "first": "Judge",
            "second": "Judge",
            "triplets": "Triplets",
            "spearman": st.column_config.NumberColumn("Spearman of a - b", format="%.3f"),
            "alike": st.column_config.NumberColumn("Same result of the rule", format="percent"),
        },
    )
