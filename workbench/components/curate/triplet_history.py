"""Everything that was ever decided on one triplet."""

import streamlit as st

from workbench.components.wording import ago
from workbench.workspace import Workspace


def triplet_history(workspace: Workspace, triplet_id: str) -> None:
    """Draw the history behind a button; without a decision, nothing."""
    history = workspace.store.decisions.history(triplet_id)
    if history.empty:
        return
    with st.popover(f"History ({len(history)})", icon=":material/history:"):
        shown = history.assign(when=history["created_at"].map(ago))
        st.dataframe(
            shown[["when", "annotator", "step", "action", "reason", "positive", "hard_negative"]],
            hide_index=True,
            placeholder="as generated",
            alt="History of this triplet",
        )
