"""Stage 2: apply the rule, freeze a snapshot; what a team agrees on: guidelines, the shared part, rules by name."""

import json
from collections.abc import Sequence
from dataclasses import asdict, astuple, replace
from threading import Lock
from typing import Any

from pipeline.config import RULE_PRESETS, CurationRule, from_fields
from pipeline.errors import InputError
from pipeline.settings import checked_name
from workbench.actions.generation import known_attempts
from workbench.curation_notes import MOST_RULE_NAME_CHARS, read_notes, write_notes
from workbench.workspace import Workspace

_writing = Lock()
"""Notes are read, changed and written: two people must not lose each other's change."""


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
    sets, attempt_ids = workspace.store.final_sets, known_attempts(workspace, attempt_ids)
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


def curation_notes(workspace: Workspace) -> dict[str, Any]:
    """Return the guidelines (Markdown), the share that every annotator decides, and all rules by name."""
    notes = read_notes(workspace.root)
    rules = {name: asdict(rule) for name, rule in (RULE_PRESETS | notes.rules).items()}
    return {"guidelines": notes.guidelines, "shared": notes.shared, "rules": rules, "saved": list(notes.rules)}


def save_guidelines(
    workspace: Workspace, *, guidelines: str | None = None, shared: float | None = None
) -> dict[str, Any]:
    """Keep the guidelines, the share that every annotator decides (0 to 1), or both; what is left out stays."""
    with _writing:
        notes = read_notes(workspace.root)
        kept = notes.guidelines if guidelines is None else guidelines
        write_notes(
            workspace.root, replace(notes, guidelines=kept, shared=notes.shared if shared is None else shared)
        )
    return curation_notes(workspace)


def save_rule(workspace: Workspace, *, name: str, rule: dict[str, Any]) -> dict[str, Any]:
    """Keep a rule under a name; one that was saved under it before is replaced, a preset stays."""
    called = name.strip()
    if not 1 <= len(called) <= MOST_RULE_NAME_CHARS or called in RULE_PRESETS:
        raise InputError(
            f"A rule needs a name of 1 to {MOST_RULE_NAME_CHARS} characters other than {', '.join(RULE_PRESETS)}."
        )
    settings = from_fields(CurationRule, rule)
    with _writing:
        notes = read_notes(workspace.root)
        write_notes(workspace.root, replace(notes, rules=notes.rules | {called: settings}))
    return {"name": called, "rule": asdict(settings)}


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
