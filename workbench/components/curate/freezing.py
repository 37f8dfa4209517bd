"""Freezing a snapshot: the step from curation to training."""

from dataclasses import asdict

import streamlit as st

from pipeline.config import CurationRule
from workbench import state
from workbench.actions.curation import curate
from workbench.components.elements import TRAIN, counted, errors_shown, plain
from workbench.components.triplet_card import Scope
from workbench.workspace import Workspace

_FROZEN = "rule_frozen"
"""Session key: the message about the last snapshot, which unlike a toast stays on the page."""


def freeze(workspace: Workspace, scope: Scope, rule: CurationRule) -> None:
    """Draw the form that freezes what the rule and people's decisions leave."""
    with st.popover("Freeze a snapshot", icon=":material/ac_unit:", width="stretch"):
        st.caption("A snapshot stores exactly these triplets for training. People's decisions override the rule.")
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


def frozen() -> None:
    """Draw what was frozen last, with the way to training."""
    if message := st.session_state.get(_FROZEN):
        st.success(plain(message), icon=":material/ac_unit:")
        st.page_link(TRAIN, label="Train an encoder on it", icon=":material/arrow_forward:")
