"""The rule: thresholds on the plane of scores, what they keep, triplets at the border; judging and freezing.

The plane is a component of our own, as Streamlit's Plotly sends neither dragged shapes back nor clicks on a density.
"""

from collections.abc import Callable
from dataclasses import asdict, astuple
from typing import Any, Final

import numpy as np
import pandas as pd
import streamlit as st

from pipeline.config import CurationRule
from pipeline.curation.judges import EMBEDDED_JUDGES, LLM_KINDS, kinds_for
from pipeline.generation.llms.registry import EMBEDDED
from workbench import state, theme
from workbench.actions.curation import calibrated_judges, known_calibrations, start_judge
from workbench.components.curate.curation_settings import STEP, open_list, rule_sliders, save_rule, set_rule
from workbench.components.curate.freezing import freeze, frozen, gate
from workbench.components.curate.judges_view import chance_warning
from workbench.components.elements import count, errors_shown, percent, plain
from workbench.components.job_progress import job_strip
from workbench.components.triplet_card import WRAPPED_ROW, Scope, judge_name, triplet_table
from workbench.jobs.kinds import JudgeSpec
from workbench.paths import ASSETS
from workbench.store.filters import TripletFilter
from workbench.workspace import Workspace

_BINS = 50
_AT_BORDER = 10
_SAMPLE = 50_000
"""Most triplets searched for the border; of more, a fixed sample."""
TOP: Final = 5.0
_FOLDER: Final = ASSETS / "score_plane"
_COLOURS: Final = f"--kept: {theme.HUMAN}; --positive: {theme.POSITIVE}; --hard-negative: {theme.HARD_NEGATIVE}"
_PLANE: Final = st.components.v2.component(
    "score_plane",
    html=f'<div class="score-plane" style="{_COLOURS}"></div>',
    css=(_FOLDER / "score_plane.css").read_text(encoding="utf-8"),
    js=(_FOLDER / "score_plane.js").read_text(encoding="utf-8"),
)
Limits = tuple[tuple[float, float], tuple[float, float]]


def rule_view(workspace: Workspace, scope: Scope) -> None:
    """Draw the plane, the sliders and their effect."""
    if scope.judge_id is None:
        st.info("These triplets have no scores yet. Judge them above, then set the rule here.")
        return
    used = workspace.store.judgements.calibrations(list(scope.attempt_ids))
    chance_warning(known_calibrations(workspace), used, scope.judge_id)
    picture, settings = st.columns([3, 2], gap="large")
    with settings:
        rule = rule_sliders(workspace)
        _losses(workspace, scope, scope.judge_id, rule)
        with st.container(horizontal=True):
            save_rule(workspace, rule)
            freeze(workspace, scope, rule)
        frozen()
    with picture:
        counts = workspace.store.judgements.histogram(list(scope.attempt_ids), scope.judge_id, _BINS)
        _cell(score_plane(np.asarray(counts), rule, key="plane", on_rule=set_rule))
    gate(workspace, scope, rule)
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
            "condition": [f"a ≥ {rule.alpha:g}", f"b ≤ {rule.beta:g}", f"a − b ≥ {rule.gamma:g}"],
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
    """Show how many triplets the last move of a threshold added and dropped."""
    now = astuple(rule)
    before, after = st.session_state.get("rule_moves", (now, now))
    if now != after:
        before, after = after, now
        st.session_state["rule_moves"] = (before, after)
    st.session_state.setdefault("rule_moves", (before, after))
    if before != after:
        gained, lost = workspace.store.funnels.flips(list(scope.attempt_ids), str(scope.judge_id), before, after)
        st.caption(f"Last move: {count(gained)} added, {count(lost)} dropped.")


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


def _border(workspace: Workspace, scope: Scope, judge_id: str, rule: CurationRule) -> None:
    plane = workspace.store.judgements.plane(list(scope.attempt_ids), judge_id, limit=_SAMPLE)
    nearest = at_border(plane, rule, _AT_BORDER)
    if nearest.empty:
        return
    st.subheader("At the border", anchor=False)
    st.caption("Triplets that a small change of the rule would drop (+, kept now) or add (−, lost now).")
    texts = workspace.store.triplets.rows(TripletFilter(triplet_ids=tuple(nearest["triplet_id"])))
    texts = texts[["triplet_id", "premise", "positive", "hard_negative"]]
    triplet_table(
        nearest.merge(texts, on="triplet_id"), key="border", first=("margin", "nearest"), row_height=WRAPPED_ROW
    )


def funnel(workspace: Workspace, scope: Scope, rule: CurationRule) -> None:
    """Draw the number of triplets after each step of curation; each number opens its rows in the list."""
    limits = astuple(rule)
    found = workspace.store.funnels.counts(list(scope.attempt_ids), str(scope.judge_id), limits)
    st.subheader("From premises to the final set", anchor=False)
    steps: list[tuple[str, str, str, dict[str, Any]]] = [
        ("Generated", "generated", f"of about {count(found['premises'])} premises", {}),
        ("Both sides ok", "ok", percent(found["ok"], found["generated"]), {"outcome": "ok"}),
        (
            "Kept by the rule",
            "kept",
            f"of {count(found['judged'])} judged",
            {"outcome": "ok", "rule": (*limits, False)},
        ),
        (
            "− Dropped",
            "dropped",
            "rejected by people",
            {"outcome": "ok", "decision": "reject", "rule": (*limits, False)},
        ),
        ("\\+ Rescued", "rescued", "by people, lost by the rule", {"decision": "decided", "rule": (*limits, True)}),
        (
            "= Final set",
            "final",
            f"{percent(found['final'], found['generated'])}; {count(found['changed'])} edited or swapped",
            {"outcome": "ok", "rule": (*limits, False)},
        ),
    ]
    with st.grid(len(steps), min_column_width=126):
        for label, name, note, filters in steps:
            with st.container(border=True, height="stretch"):
                st.caption(label)
                st.button(
                    count(found[name]), type="tertiary", key=f"funnel_{name}", on_click=open_list, kwargs=filters
                )
                st.caption(note)


def at_border(plane: pd.DataFrame, rule: CurationRule, limit: int) -> pd.DataFrame:
    """Return the triplets nearest to the border of the rule.

    The margin of a triplet is the smallest of its three slacks: positive when kept, negative when lost; `nearest`
    names the threshold with that slack.
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


def judging(workspace: Workspace, scope: Scope) -> bool:
    """Draw a running or stopped judging job, else the offer to judge what has no scores; return whether one runs."""
    if job_strip(
        workspace,
        JudgeSpec,
        key="judging",
        where=lambda spec: not set(spec.attempt_ids).isdisjoint(scope.attempt_ids),
    ):
        return True
    if scope.judge_id is None:
        with st.container(border=True):
            st.markdown(
                "**Judge these triplets.** A judge scores premise and positive (a), and premise and hard negative "
                "(b), from 0 (unrelated) to 5 (same meaning)."
            )
            _start(workspace, scope, primary=True)
    return False


def judge_again(workspace: Workspace, scope: Scope) -> None:
    """Draw the popover that judges triplets which have scores."""
    with st.popover("Judge again", icon=":material/gavel:"):
        st.caption("A judge's new scores replace its earlier ones.")
        _start(workspace, scope, primary=False)


def _start(workspace: Workspace, scope: Scope, *, primary: bool) -> None:
    judges = st.pills(
        "Judges",
        judge_options(workspace),
        selection_mode="multi",
        default=list(EMBEDDED_JUDGES),
        format_func=lambda judge_id: plain(judge_name(judge_id)),
        key="judges",
        wrap=True,
    )
    with st.expander("Calibration, further judges"):
        gold_dir = state.folder_input(
            "Folder with gold pairs (optional)",
            name=state.GOLD_FOLDER,
            help="By default, shipped curves map raw values to 0 to 5. Give a folder with a -dev or -train file of "
            "STS pairs to fit the curves on those instead.",
        )
        cross = st.text_input(
            "Cross-encoder as a further judge (optional)",
            placeholder="folder, or OWNER/NAME on the hub",
            help="A model of sentence-transformers with one output (STS), or with NLI's labels. It has no shipped "
            "curve: give gold pairs as well the first time.",
            key="cross_encoder",
        ).strip()
    judges = [*judges, *([f"cross:{cross}"] if cross else [])]
    if st.button(
        "Judge", type=theme.button_kind(primary), icon=":material/gavel:", disabled=not judges, key="start_judge"
    ):
        with errors_shown():
            start_judge(
                workspace, attempt_ids=list(scope.attempt_ids), judges=list(judges), gold_dir=gold_dir or None
            )
            state.select(state.JUDGE, judges[0])
            st.rerun()


def judge_options(workspace: Workspace) -> list[str]:
    """Return all judges that can be used here: embedded models, registered LLMs, ensembles."""
    found = [*EMBEDDED_JUDGES, *(f"{kind}:{EMBEDDED}" for kind in LLM_KINDS)]
    for llm in workspace.store.llms.list():
        found += [f"{kind}:{llm.entry.name}" for kind in kinds_for(llm.entry) if llm.state != "failed"]
    return list(dict.fromkeys([*found, *calibrated_judges(workspace)]))


def score_plane(
    counts: np.ndarray, rule: CurationRule, *, key: str, on_rule: Callable[[CurationRule], Any]
) -> Limits | None:
    """Draw the plane; return the limits ((a low, a high), (b low, b high)) of the cell that was clicked, if any.

    Args:
        counts: integers (bins, bins), first axis a, second axis b, both over 0..5.
        rule: the lines.
        key: of the component.
        on_rule: callback with the rule that the lines were dragged to.
    """
    bins = len(counts)
    filled = [(int(a), int(b), int(counts[a, b])) for a, b in np.argwhere(counts > 0)]
    clicked = _state(key).get("cell")
    st.markdown("**Judged triplets and the part the rule keeps**")
    _PLANE(
        key=key,
        data={
            "bins": bins,
            "cells": filled,
            "cell": clicked,
            "rule": asdict(rule),
            "step": STEP,
            "labels": ["a: premise and positive, score 0 to 5", "b: premise and hard negative, score 0 to 5"],
        },
        on_rule_change=lambda: _moved(key, on_rule),
        on_cell_change=lambda: None,
    )
    if not isinstance(clicked, list) or len(clicked) != 2:
        return None
    a, b = (float(place) * TOP / bins for place in clicked)
    return (a, a + TOP / bins), (b, b + TOP / bins)


def _moved(key: str, on_rule: Callable[[CurationRule], Any]) -> None:
    sent = _state(key).get("rule")
    if isinstance(sent, dict):
        on_rule(CurationRule(**{name: float(sent[name]) for name in ("alpha", "beta", "gamma")}))


def _state(key: str) -> dict[str, Any]:
    return dict(st.session_state.get(key) or {})
