"""Stage 2: start judges, apply the rule, freeze a snapshot."""

from dataclasses import asdict
from typing import Any

import pandas as pd

from pipeline.config import CurationRule, from_fields
from pipeline.curation.judges import EMBEDDED_JUDGES
from pipeline.curation.rules import keeps
from pipeline.errors import InputError
from workbench.store.triplets import TripletFilter
from workbench.workspace import Workspace


def start_judge(
    workspace: Workspace,
    *,
    attempt_ids: list[str],
    judges: list[str] | None = None,
    gold_dir: str | None = None,
    title: str = "",
) -> dict[str, Any]:
    """Queue the judging of all triplets of these attempts whose both sides ended ok."""
    frame = workspace.store.triplets.rows(TripletFilter(attempt_ids=tuple(attempt_ids), outcome="ok"))
    if frame.empty:
        raise InputError("These attempts hold no triplet with both sides ok: generate some first.")
    chosen = list(judges or EMBEDDED_JUDGES)
    spec = {"judges": chosen, "gold_dir": gold_dir, "attempt_ids": list(attempt_ids)}
    columns = ["triplet_id", "premise", "positive", "hard_negative"]
    job_id = workspace.jobs.submit(
        "judge", spec, frame[columns], title=title or f"{len(frame)} triplets, {', '.join(chosen)}"
    )
    return {"job_id": job_id, "triplets": len(frame)}


def curate(
    workspace: Workspace,
    *,
    attempt_ids: list[str],
    name: str,
    judge_id: str | None = None,
    rule: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Freeze the triplets that the rule keeps and people did not reject; without a judge every ok triplet is kept."""
    settings = from_fields(CurationRule, rule or {}) if judge_id else None
    frame = final_set(workspace, attempt_ids, judge_id, settings)
    kept = frame[frame["kept"]]
    if kept.empty:
        raise InputError(f"The rule keeps none of {len(frame)} triplets: lower alpha or gamma, or raise beta.")
    columns = ["triplet_id", "premise", "positive", "hard_negative"]
    snapshot = workspace.store.snapshots.create(
        name, list(attempt_ids), judge_id, asdict(settings) if settings else None, kept[columns]
    )
    counts = frame["reason"].value_counts().to_dict()
    return {
        "snapshot_id": snapshot.snapshot_id,
        "name": name,
        "triplets": len(kept),
        "of": len(frame),
        "reasons": counts,
    }


def final_set(
    workspace: Workspace, attempt_ids: list[str], judge_id: str | None, rule: CurationRule | None
) -> pd.DataFrame:
    """Return every ok triplet with its final texts, `kept` (bool) and `reason` (why it is in or out).

    A person's decision outranks the rule; an edited or swapped triplet counts as accepted.
    """
    frame = workspace.store.triplets.rows(TripletFilter(attempt_ids=tuple(attempt_ids), outcome="ok"))
    frame["kept"], frame["reason"] = True, "no rule"
    if judge_id and rule:
        scores = workspace.store.judgements.plane(list(attempt_ids), judge_id)[["triplet_id", "a", "b"]]
        frame = frame.drop(columns=["a", "b"], errors="ignore").merge(scores, on="triplet_id", how="left")
        judged = frame["a"].notna() & frame["b"].notna()
        frame["kept"] = judged & keeps(rule, frame["a"].to_numpy(), frame["b"].to_numpy())
        frame["reason"] = frame["kept"].map({True: "kept by rule", False: "lost by rule"})
        frame.loc[~judged, "reason"] = "not judged"
    return apply_decisions(frame, workspace.store.decisions.latest())


def apply_decisions(frame: pd.DataFrame, latest: pd.DataFrame) -> pd.DataFrame:
    """Lay the latest decision of people over the rule."""
    if latest.empty:
        return frame
    decided = latest.set_index("triplet_id")
    position = frame.index[frame["triplet_id"].isin(decided.index)]
    rows = decided.loc[frame.loc[position, "triplet_id"]]
    frame.loc[position, "kept"] = (rows["action"] != "reject").to_numpy()
    frame.loc[position, "reason"] = ("person: " + rows["action"]).to_numpy()
    for side in ("positive", "hard_negative"):
        changed = rows[side].notna() & rows["action"].isin(["edit", "swap"])
        frame.loc[position[changed.to_numpy()], side] = rows.loc[changed, side].to_numpy()
    return frame
