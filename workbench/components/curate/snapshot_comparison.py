"""Two snapshots held against each other: settings that differ, triplets that came, went or changed."""

import pandas as pd
import streamlit as st

from workbench.components.notice import errors_shown
from workbench.components.wording import count
from workbench.snapshot_comparison import SnapshotChange, compare_rows, compare_settings
from workbench.store.snapshots import Snapshot
from workbench.workspace import Workspace

_SHOWN = 200
_SIDES = ["premise", "positive", "hard_negative"]


def snapshot_comparison(workspace: Workspace, first: Snapshot, others: dict[str, str]) -> None:
    """Draw the picker of the other snapshot (id -> name) and what separates the two."""
    if not others:
        st.caption("Freeze a second snapshot to compare this one with.")
        return
    chosen = st.selectbox(
        "Compare with", list(others), format_func=others.__getitem__, key=f"compare_{first.snapshot_id}"
    )
    with errors_shown():
        second = workspace.store.snapshots.get(str(chosen))
        rows = [workspace.store.snapshots.rows(item.snapshot_id) for item in (first, second)]
        _draw(first, second, compare_rows(*rows))


def _draw(first: Snapshot, second: Snapshot, change: SnapshotChange) -> None:
    parts = {
        "Only in the first": change.removed,
        "Only in the second": change.added,
        "Texts differ": change.changed,
    }
    for column, (name, number) in zip(
        st.columns(4), [("In both, the same", change.same), *((n, len(t)) for n, t in parts.items())], strict=True
    ):
        column.metric(name, count(number))
    settings = compare_settings(first, second)
    if settings:
        table = pd.DataFrame(settings, columns=["What differs", first.name or "first", f"{second.name or 'second'} "])
        st.dataframe(table, hide_index=True, alt="Settings that differ")
    else:
        st.caption("Both were made with the same settings.")
    filled = [name for name, table in parts.items() if len(table)]
    if not filled:
        return
    part = st.segmented_control(
        "Triplets", filled, default=filled[0], required=True, key="compare_part", label_visibility="collapsed"
    )
    table = parts[str(part)]
    columns = _SIDES if part != "Texts differ" else [*_SIDES, "new_positive", "new_hard_negative"]
    names = {
        "premise": "Premise",
        "positive": "Positive",
        "hard_negative": "Hard negative",
        "new_positive": "Positive in the second",
        "new_hard_negative": "Hard negative in the second",
    }
    st.dataframe(table[columns].head(_SHOWN).rename(columns=names), hide_index=True, alt=str(part))
    if len(table) > _SHOWN:
        st.caption(f"The first {count(_SHOWN)} of {count(len(table))}.")
