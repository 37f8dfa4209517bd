"""Two snapshots side by side: what they were made with, and which triplets are in one of them or differ."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from workbench.store.snapshots import Snapshot

_SIDES = ("premise", "positive", "hard_negative")


@dataclass(frozen=True, slots=True)
class SnapshotChange:
    """What separates a second snapshot from a first one; triplets are the same when their ids are."""

    same: int
    """In both, with the same texts."""
    removed: "pd.DataFrame"
    """Only in the first: triplet_id and its texts."""
    added: "pd.DataFrame"
    """Only in the second."""
    changed: "pd.DataFrame"
    """In both with other texts: triplet_id, the texts of the first, and those of the second as new_positive etc."""


def compare_rows(first: "pd.DataFrame", second: "pd.DataFrame") -> SnapshotChange:
    """Compare the rows of two snapshots (triplet_id, premise, positive, hard_negative), each in its own order."""
    both = first.merge(second, on="triplet_id", suffixes=("", "_after"))
    differs = (both[[f"{side}_after" for side in _SIDES]].to_numpy() != both[list(_SIDES)].to_numpy()).any(axis=1)
    changed = both[differs].rename(columns={f"{side}_after": f"new_{side}" for side in _SIDES})
    return SnapshotChange(
        same=int((~differs).sum()),
        removed=first[~first["triplet_id"].isin(second["triplet_id"])],
        added=second[~second["triplet_id"].isin(first["triplet_id"])],
        changed=changed,
    )


def compare_settings(first: "Snapshot", second: "Snapshot") -> list[tuple[str, str, str]]:
    """Return (setting, first, second) of everything that was different when the two were made."""
    one, other = _settings(first), _settings(second)
    names = list(dict.fromkeys([*one, *other]))
    return [
        (name, one.get(name, "none"), other.get(name, "none")) for name in names if one.get(name) != other.get(name)
    ]


def _settings(snapshot: "Snapshot") -> dict[str, str]:
    found: dict[str, Any] = {"judge of the rule": snapshot.judge_id or "none"}
    found |= {name: f"{value:g}" for name, value in (snapshot.rule or {}).items()}
    found["attempts"] = ", ".join(
        str(item["title"] or item["attempt_id"]) for item in snapshot.details.get("attempts", [])
    ) or ", ".join(snapshot.attempt_ids)
    for judge_id, versions in snapshot.details.get("judges", {}).items():
        found[f"calibration of {judge_id}"] = ", ".join(versions)
    for why, count in snapshot.details.get("reasons", {}).items():
        found[why] = f"{count:,}"
    if log := snapshot.details.get("decisions_log"):
        found["decision log, sha256"] = log["sha256"][:12]
    return found
