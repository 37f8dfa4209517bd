"""Stage 2: apply the rule, freeze a snapshot."""

import json
from collections.abc import Sequence
from dataclasses import asdict, astuple
from typing import Any

from pipeline.config import CurationRule, from_fields
from pipeline.errors import InputError
from pipeline.settings import checked_name
from workbench.workspace import Workspace


def curate(
    workspace: Workspace,
    *,
    attempt_ids: list[str],
    name: str,
    judge_id: str | None = None,
    rule: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Freeze the triplets that the rule keeps and people did not reject; without a judge every ok triplet is kept."""
    name = checked_name(name, "a snapshot")
    settings = from_fields(CurationRule, rule or {}) if judge_id else None
    limits = astuple(settings) if settings else None
    sets = workspace.store.final_sets
    kept, reasons = sets.kept(attempt_ids, judge_id, limits), sets.reasons(attempt_ids, judge_id, limits)
    total = sum(reasons.values())
    if kept.empty:
        told = ", ".join(f"{number} {why}" for why, number in reasons.items())
        raise InputError(f"The rule keeps none of {total} triplets ({told}): lower alpha or gamma, or raise beta.")
    snapshot = workspace.store.snapshots.create(
        name,
        list(attempt_ids),
        judge_id,
        asdict(settings) if settings else None,
        kept,
        details=provenance(workspace, attempt_ids, reasons),
    )
    return {
        "snapshot_id": snapshot.snapshot_id,
        "name": name,
        "triplets": len(kept),
        "of": total,
        "reasons": reasons,
    }


def provenance(workspace: Workspace, attempt_ids: Sequence[str], reasons: dict[str, int]) -> dict[str, Any]:
    """Return where triplets of these attempts come from: who wrote, judged and decided them, with hashes."""
    attempts = workspace.store.triplets.attempts()
    chosen = attempts[attempts["attempt_id"].isin(list(attempt_ids))] if attempt_ids else attempts
    columns = ["attempt_id", "title", "llm", "omega", "seed", "rows", "ok"]
    log = workspace.store.decisions.log_digest()
    return {
        "attempts": json.loads(chosen[columns].to_json(orient="records")),
        "judges": workspace.store.judgements.calibrations(list(attempt_ids)),
        "reasons": reasons,
        "decisions_log": {"bytes": log[0], "sha256": log[1]},
    }
