"""Snapshots: the frozen triplet sets of the workspace, two of them compared, and their download."""

import shutil
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import streamlit as st

from workbench import state, theme
from workbench.actions.data import export_triplets
from workbench.components.elements import TRAIN, ago, count, empty_state, errors_shown
from workbench.components.triplet_card import WRAPPED_ROW, triplet_table
from workbench.store.snapshots import Snapshot
from workbench.workspace import Workspace

_SHOWN = 200
_SIDES = ["premise", "positive", "hard_negative"]
_CHANGED = ["new_positive", "new_hard_negative"]
_NAMES = theme.ROLE_NAMES | {
    "new_positive": "Positive in the second",
    "new_hard_negative": "Hard negative in the second",
}
_FORMATS = {
    "csv": (
        "csv",
        "text/csv",
        "Columns sent0, sent1, hard_neg, as in SimCSE; safe to open in a spreadsheet.",
    ),
    "jsonl": ("jsonl", "application/jsonl", "One object per line."),
    "Parquet": ("parquet", "application/vnd.apache.parquet", "Exact texts, smallest file."),
    "datasets folder": ("zip", "application/zip", "A folder for datasets.load_dataset with a card, as a zip file."),
}


def snapshot_list(workspace: Workspace) -> None:
    """Draw the snapshots, newest first, and the rows of the chosen one."""
    snapshots = {snapshot.snapshot_id: snapshot for snapshot in workspace.store.snapshots.list()}
    if not snapshots:
        empty_state(
            "No snapshot yet",
            hint="Set the rule under Rule and freeze what it keeps. Training reads snapshots only.",
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
    rows = workspace.store.snapshots.rows(str(chosen), limit=_SHOWN)
    triplet_table(rows, key="snapshot_rows", row_height=WRAPPED_ROW)
    _say_shown(snapshots[str(chosen)].rows)
    with st.container(horizontal=True, vertical_alignment="center"):
        snapshot_download(workspace, snapshots[str(chosen)])
        st.page_link(TRAIN, label="Train on this snapshot", icon=":material/model_training:")
    others = {key: name for key, name in names.items() if key != chosen}
    if st.toggle("Compare with another snapshot", key="compare_snapshots"):
        snapshot_comparison(workspace, snapshots[str(chosen)], others)


def rule_words(rule: dict[str, float] | None) -> str:
    """Return a stored rule as its three conditions."""
    if not rule:
        return "none"
    return f"a ≥ {rule['alpha']:g}, b ≤ {rule['beta']:g}, a − b ≥ {rule['gamma']:g}"


@dataclass(frozen=True, slots=True)
class SnapshotChange:
    """The differences between two snapshots; triplets are matched by their ids."""

    same: int
    """Triplets in both with the same texts."""
    removed: pd.DataFrame
    """Only in the first: triplet_id and its texts."""
    added: pd.DataFrame
    """Only in the second."""
    changed: pd.DataFrame
    """In both with other texts: triplet_id, texts of the first, and of the second as new_positive and so on."""


def compare_rows(first: pd.DataFrame, second: pd.DataFrame) -> SnapshotChange:
    """Compare the rows of two snapshots (triplet_id, premise, positive, hard_negative), each in its own order."""
    both = first.merge(second, on="triplet_id", suffixes=("", "_after"))
    differs = (both[[f"{side}_after" for side in _SIDES]].to_numpy() != both[_SIDES].to_numpy()).any(axis=1)
    changed = both[differs].rename(columns={f"{side}_after": f"new_{side}" for side in _SIDES})
    return SnapshotChange(
        same=int((~differs).sum()),
        removed=first[~first["triplet_id"].isin(second["triplet_id"])],
        added=second[~second["triplet_id"].isin(first["triplet_id"])],
        changed=changed,
    )


def compare_settings(first: Snapshot, second: Snapshot) -> list[tuple[str, str, str]]:
    """Return (setting, first, second) for all settings in which two snapshots differ."""
    one, other = _settings(first), _settings(second)
    names = list(dict.fromkeys([*one, *other]))
    return [
        (name, one.get(name, "none"), other.get(name, "none")) for name in names if one.get(name) != other.get(name)
    ]


def _settings(snapshot: Snapshot) -> dict[str, str]:
    found: dict[str, str] = {"judge of the rule": snapshot.judge_id or "none"}
    found |= {name: f"{value:g}" for name, value in (snapshot.rule or {}).items()}
    found["generation runs"] = ", ".join(
        str(item["title"] or item["attempt_id"]) for item in snapshot.details.get("attempts", [])
    ) or ", ".join(snapshot.attempt_ids)
    for judge_id, versions in snapshot.details.get("judges", {}).items():
        found[f"calibration of {judge_id}"] = ", ".join(versions)
    for why, dropped in snapshot.details.get("reasons", {}).items():
        found[why] = f"{dropped:,}"
    if log := snapshot.details.get("decisions_log"):
        found["decision log, sha256"] = log["sha256"][:12]
    return found


def snapshot_comparison(workspace: Workspace, first: Snapshot, others: dict[str, str]) -> None:
    """Draw the picker of the other snapshot (id -> name) and the differences of the two."""
    if not others:
        st.caption("Freeze a second snapshot to compare the two.")
        return
    chosen = st.selectbox(
        "Compare with", list(others), format_func=others.__getitem__, key=f"compare_{first.snapshot_id}"
    )
    with errors_shown():
        second = workspace.store.snapshots.get(str(chosen))
        rows = [workspace.store.snapshots.rows(item.snapshot_id) for item in (first, second)]
        _draw(first, second, compare_rows(*rows))


def _draw(first: Snapshot, second: Snapshot, change: SnapshotChange) -> None:
    parts = {"Only in the first": change.removed, "Only in the second": change.added, "Texts differ": change.changed}
    figures = {"In both, the same": change.same} | {name: len(table) for name, table in parts.items()}
    for column, (name, number) in zip(st.columns(4), figures.items(), strict=True):
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
        "Triplets",
        filled,
        default=filled[0],
        required=True,
        key="compare_part",
        label_visibility="collapsed",
        wrap=True,
    )
    table = parts[str(part)]
    columns = [*_SIDES, *(_CHANGED if part == "Texts differ" else [])]
    st.dataframe(table[columns].head(_SHOWN).rename(columns=_NAMES), hide_index=True, alt=str(part))
    _say_shown(len(table))


def _say_shown(rows: int) -> None:
    if rows > _SHOWN:
        st.caption(f"The first {count(_SHOWN)} of {count(rows)}.")


def snapshot_download(workspace: Workspace, snapshot: Snapshot) -> None:
    """Draw a button per format."""
    with st.popover("Download", icon=":material/download:"):
        for label, (ending, mime, note) in _FORMATS.items():
            st.download_button(
                label,
                data=partial(packed, workspace, snapshot, ending),
                file_name=f"{snapshot.name}.{ending}",
                mime=mime,
                help=note,
                on_click="ignore",
                key=f"download_{ending}",
                width="stretch",
            )


def packed(workspace: Workspace, snapshot: Snapshot, ending: str) -> bytes:
    """Return a snapshot as the content of a file; with `zip`, its datasets folder."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / ("triplets" if ending == "zip" else f"triplets.{ending}")
        export_triplets(workspace, path=str(target), snapshot_id=snapshot.snapshot_id)
        return (Path(shutil.make_archive(str(target), "zip", target)) if ending == "zip" else target).read_bytes()
