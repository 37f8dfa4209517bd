"""Looking a set of triplets through for what should not be trained on, and deciding about what was found."""

from collections.abc import Sequence
from typing import Any

from pipeline.errors import InputError
from workbench.actions.decisions import annotator_name, decide
from workbench.actions.evaluation import checked_folder, find_encoder
from workbench.actions.generation import known_attempts
from workbench.jobs.kinds import HygieneSpec
from workbench.store.decision import Decision
from workbench.workspace import Workspace

DUPLICATE = "duplicate of triplet "
"""Begins the reason of a rejected duplicate; the triplet that was kept follows."""


def start_hygiene(
    workspace: Workspace,
    *,
    attempt_ids: list[str],
    sts_dir: str | None = None,
    guide: str | None = "all-MiniLM-L6-v2",
    threshold: float = 0.8,
) -> dict[str, Any]:
    """Queue the search for duplicates, leaks into the STS folder, copies and, with a guide, false hard negatives.

    Triplets are taken as people left them; rejected ones are left out. threshold: least share of letter sequences in
    common of near duplicates.
    """
    if not 0.5 <= threshold <= 1:
        raise InputError(f"Near duplicates need a similarity between 0.5 and 1, got {threshold}.")
    frame = workspace.store.final_sets.kept(known_attempts(workspace, attempt_ids), None, None)
    if frame.empty:
        raise InputError("These attempts hold no usable triplet that was not rejected: generate some first.")
    spec = HygieneSpec(
        attempt_ids=tuple(attempt_ids),
        sts_dir=str(checked_folder(sts_dir)) if sts_dir else None,
        guide=find_encoder(workspace, guide).folder if guide else None,
        threshold=threshold,
    )
    job_id = workspace.jobs.submit(spec, frame, title=f"Hygiene of {len(frame):,} triplets")
    return {"job_id": job_id, "triplets": len(frame)}


def keep_one(workspace: Workspace, *, groups: Sequence[Sequence[str]], annotator: str) -> dict[str, Any]:
    """Reject all but the first triplet of each group, as one step that names the one that was kept."""
    who = annotator_name(annotator)
    decisions = [
        Decision(triplet_id, "reject", annotator=who, reason=f"{DUPLICATE}{group[0]}")
        for group in groups
        for triplet_id in group[1:]
    ]
    batch_id = workspace.store.decisions.append(decisions)
    return {"batch_id": batch_id, "rejected": len(decisions)}


def reject_all(workspace: Workspace, *, triplet_ids: Sequence[str], reason: str, annotator: str) -> dict[str, Any]:
    """Reject these triplets for one reason, as one step."""
    made = decide(workspace, triplet_ids=triplet_ids, action="reject", annotator=annotator, reason=reason)
    return {"batch_id": made["batch_id"], "rejected": made["decided"]}
