"""The rule against what people decided, and judge against judge."""

import numpy as np
import streamlit as st

from pipeline.config import CurationRule
from pipeline.curation.rule_fit import MIN_DECISIONS, BestRule, best_rule, measure_rule
from pipeline.errors import InputError
from pipeline.statistics import Interval
from workbench.components.curate.rule_sliders import set_rule
from workbench.components.curation_scope import Scope, judge_name
from workbench.components.wording import count
from workbench.workspace import Workspace


def rule_against_people(workspace: Workspace, scope: Scope, rule: CurationRule) -> None:
    """Draw precision and recall of the rule, the thresholds that would do best, and how far judges agree."""
    st.subheader("The rule against people, judge against judge", anchor=False)
    decided = workspace.store.funnels.decided_scores(list(scope.attempt_ids), str(scope.judge_id))
    a, b = decided["a"].to_numpy(), decided["b"].to_numpy()
    accepted = (decided["action"] == "accept").to_numpy()
    if len(decided) < MIN_DECISIONS:
        st.caption(
            f"{count(len(decided))} judged triplets are decided; from {MIN_DECISIONS} on the rule is measured."
        )
    else:
        _measured(rule, a, b, accepted)
    _judges(workspace, scope, rule)


def _measured(rule: CurationRule, a: np.ndarray, b: np.ndarray, accepted: np.ndarray) -> None:
    fit = measure_rule(rule, a, b, accepted)
    st.markdown(
        f"Of {count(fit.decisions)} decided triplets people accepted {count(fit.accepted)} as they were. "
        f"Precision **{_words(fit.precision)}**, recall **{_words(fit.recall)}**."
    )
    try:
        best = best_rule(a, b, accepted)
    except InputError as error:
        st.caption(str(error))
        return
    found = best.fit.rule
    st.markdown(
        f"Best of a grid: α **{found.alpha:g}** {_range(best, 'alpha')}, "
        f"β **{found.beta:g}** {_range(best, 'beta')}, "
        f"γ **{found.gamma:g}** {_range(best, 'gamma')}; F1 {_words(best.fit.f1)} against {_words(fit.f1)} now. "
        "Brackets: middle 95 % of 200 bootstrap draws."
    )
    st.button("Use these thresholds", on_click=set_rule, args=(found,), key="use_best_rule")


def _judges(workspace: Workspace, scope: Scope, rule: CurationRule) -> None:
    limits = (rule.alpha, rule.beta, rule.gamma)
    table = workspace.store.funnels.judge_agreement(list(scope.attempt_ids), limits)
    if table.empty:
        st.caption("Judge with a second judge to see how far the two agree.")
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
            "alike": st.column_config.NumberColumn("Rule treats alike", format="percent"),
        },
    )


def _words(measured: Interval) -> str:
    return f"{measured.value:.2f} [{measured.low:.2f}, {measured.high:.2f}]"


def _range(best: BestRule, name: str) -> str:
    found: Interval = getattr(best, name)
    return f"[{found.low:g}, {found.high:g}]"
