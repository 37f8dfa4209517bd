"""Judges against people and against each other: what the rule on their scores gets right."""

import numpy as np
import streamlit as st

from pipeline.config import CurationRule
from pipeline.curation.rules import MIN_DECISIONS, best_rule, measure_rule
from pipeline.records import InputError
from workbench.components.curate.curation_settings import set_rule
from workbench.components.elements import count
from workbench.components.triplet_card import Scope, judge_name
from workbench.workspace import Workspace


def rule_against_people(workspace: Workspace, scope: Scope, rule: CurationRule) -> None:
    """Draw precision and recall of the rule on decided triplets, the best thresholds, and the judges' agreement."""
    st.subheader("Agreement with people and between judges", anchor=False)
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
