"""Frozen triplet sets."""

import pandas as pd
import streamlit as st

from workbench import state
from workbench.components import links
from workbench.components.curate.snapshot_comparison import snapshot_comparison
from workbench.components.curate.snapshot_download import snapshot_download
from workbench.components.notice import empty_state
from workbench.components.triplet_rows import triplet_table
from workbench.components.wording import ago, count
from workbench.workspace import Workspace

_SHOWN = 200


def snapshot_list(workspace: Workspace) -> None:
    """Draw the snapshots, newest first, and the rows of the chosen one."""
    snapshots = {snapshot.snapshot_id: snapshot for snapshot in workspace.store.snapshots.list()}
    if not snapshots:
        empty_state(
            "No snapshot yet",
            hint="Set the rule under Rule and freeze what it keeps: training reads snapshots only.",
            icon=":material/ac_unit:",
        )
        return
    table = [
        {
            "Name": snapshot.name,
            "Triplets": snapshot.rows,
            "Judge": snapshot.judge_id or "none",
            "Rule": rule_words(snapshot.rule),
            "Frozen": ago(snapshot.created_at),
            "sha256 begins": snapshot.sha256[:12],
        }
        for snapshot in snapshots.values()
    ]
    st.dataframe(pd.DataFrame(table), hide_index=True, alt="Snapshots")
    names = {key: f"{snapshot.name} ({count(snapshot.rows)})" for key, snapshot in snapshots.items()}
    chosen = state.pick("Rows of", list(names), name=state.SNAPSHOT, names=names)
    rows = workspace.store.snapshots.rows(str(chosen))
    triplet_table(rows.head(_SHOWN), key="snapshot_rows")
    if len(rows) > _SHOWN:
        st.caption(f"The first {count(_SHOWN)} of {count(len(rows))}.")
    with st.container(horizontal=True, vertical_alignment="center"):
        snapshot_download(workspace, snapshots[str(chosen)])
        st.page_link(links.TRAIN, label="Train on this snapshot", icon=":material/model_training:")
    others = {key: name for key, name in names.items() if key != chosen}
    if st.toggle("Compare with another snapshot", key="compare_snapshots"):
        snapshot_comparison(workspace, snapshots[str(chosen)], others)


def rule_words(rule: dict[str, float] | None) -> str:
    """Write a stored rule as its three conditions."""
    if not rule:
        return "none"
    return f"a ≥ {rule['alpha']:g}, b ≤ {rule['beta']:g}, a ≥ b + {rule['gamma']:g}"
