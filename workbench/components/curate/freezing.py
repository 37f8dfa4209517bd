"""From curation to training: the gate that hands people what is uncertain, and freezing what goes on."""

from collections.abc import Mapping
from dataclasses import asdict, astuple
from typing import Any, Final

import streamlit as st

from pipeline.config import CurationRule
from workbench import state, theme
from workbench.actions.curation import curate, review_gate
from workbench.components.curate.curation_settings import UNCERTAIN, open_list, open_queue, review_margin
from workbench.components.elements import TRAIN, count, counted, errors_shown, plain
from workbench.components.triplet_card import Scope
from workbench.workspace import Workspace

_FROZEN: Final = "rule_frozen"
"""Session key: the message about the last snapshot, which unlike a toast stays on the page."""
_PARTS: Final = (
    ("kept", "Kept for certain", theme.POSITIVE),
    ("accepted", "Accepted by people", theme.HUMAN),
    ("waiting", "Uncertain, waits for people", theme.WARNING),
    ("rejected", "Rejected by people", "#8C6BB1"),
    ("lost", "Lost for certain", theme.GREY),
)
"""Part of the gate, its name, its colour."""


def gate(workspace: Workspace, scope: Scope, rule: CurationRule) -> None:
    """Draw what the rule settles, what people should look at, and the ways on: review, or take what is approved."""
    with st.container(border=True):
        words, width = st.columns([3, 2], vertical_alignment="center", gap="large")
        words.subheader("Review before training", anchor=False)
        words.caption(
            "People look at what is uncertain only: near the rule's border, or kept by one judge and lost by "
            "another. A decision outranks the rule."
        )
        with width:
            margin = review_margin()
        found = review_gate(
            workspace,
            attempt_ids=list(scope.attempt_ids),
            judge_id=str(scope.judge_id),
            rule=asdict(rule),
            margin=margin,
        )
        theme.draw(gate_figure(found), key="gate", alt="Triplets by what the rule and people say")
        limits, near = astuple(rule), {"uncertain": (*astuple(rule), margin)}
        rows: dict[str, dict[str, Any]] = {
            "waiting": {"decision": "undecided", **near},
            "rejected": {"decision": "reject"},
        }
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                f"Review {counted(found['waiting'], 'uncertain triplet')}",
                type="primary",
                icon=":material/rate_review:",
                disabled=not found["waiting"],
                key="gate_review",
                on_click=open_queue,
                args=(UNCERTAIN, "border"),
            )
            with st.popover(
                f"Go on with {counted(found['approved'], 'approved triplet')}",
                icon=":material/arrow_forward:",
                disabled=not found["approved"],
            ):
                st.caption("Freezes what is kept for certain or accepted; what still waits for people stays out.")
                _freeze(workspace, scope, rule, key="approved", margin=margin)
            for name, filters in rows.items():
                if found[name]:
                    st.button(
                        f"List {count(found[name])} {name}",
                        type="tertiary",
                        key=f"gate_{name}",
                        on_click=open_list,
                        kwargs={"outcome": "ok", **filters},
                    )
        st.caption(f"The rule α {limits[0]:g}, β {limits[1]:g}, γ {limits[2]:g} over the usable, judged triplets.")


def gate_figure(found: Mapping[str, int]) -> theme.Figure:
    """Draw the parts as one bar over all triplets that the gate sees."""
    figure = theme.bare(theme.Figure(), height=160, top=8)
    for name, label, colour in (part for part in _PARTS if found[part[0]]):
        figure.add_bar(
            x=[found[name]],
            y=[""],
            orientation="h",
            name=f"{label}: {count(found[name])}",
            marker_color=colour,
            hovertemplate=f"{label}: %{{x:,}}<extra></extra>",
        )
    figure.update_layout(
        barmode="stack",
        bargap=0.1,
        legend={"orientation": "h", "x": 0, "y": 0, "yanchor": "top", "traceorder": "normal", "font": {"size": 13}},
    )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return figure


def freeze(workspace: Workspace, scope: Scope, rule: CurationRule) -> None:
    """Draw the form that freezes what the rule and people's decisions leave."""
    with st.popover("Freeze a snapshot", icon=":material/ac_unit:", width="stretch"):
        st.caption("A snapshot stores exactly these triplets for training. People's decisions override the rule.")
        _freeze(workspace, scope, rule, key="all")


def _freeze(workspace: Workspace, scope: Scope, rule: CurationRule, *, key: str, margin: float | None = None) -> None:
    usual = f"{rule.alpha:g}-{rule.beta:g}-{rule.gamma:g}" + ("" if margin is None else "-approved")
    name = st.text_input("Name", value=usual, key=f"snapshot_name_{key}", max_chars=80)
    if st.button("Freeze", type="primary", key=f"freeze_{key}"):
        with errors_shown():
            made = curate(
                workspace,
                attempt_ids=list(scope.attempt_ids),
                judge_id=scope.judge_id,
                rule=asdict(rule),
                name=name.strip() or "snapshot",
                review_margin=margin,
            )
            state.select(state.SNAPSHOT, made["snapshot_id"])
            st.session_state[_FROZEN] = f"Snapshot {made['name']} holds {counted(made['triplets'], 'triplet')}."
            st.rerun()


def frozen() -> None:
    """Draw what was frozen last, with the way to training."""
    if message := st.session_state.get(_FROZEN):
        st.success(plain(message), icon=":material/ac_unit:")
        st.page_link(TRAIN, label="Train an encoder on it", icon=":material/arrow_forward:")
