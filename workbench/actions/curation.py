"""Stage 2: judging, calibration, hygiene, freezing a snapshot; guidelines and saved rules of a team."""

import json
from collections.abc import Sequence
from dataclasses import asdict, astuple, replace
from pathlib import Path
from threading import Lock
from typing import Annotated, Any

from pipeline.config import RULE_PRESETS, CurationRule
from pipeline.curation.calibration import Calibration, read_calibrations, tuning_tasks
from pipeline.curation.judges import EMBEDDED_JUDGES, ENSEMBLE, LLM_KINDS, Ensemble
from pipeline.generation.llms.registry import LLMEntry
from pipeline.records import InputError
from pipeline.settings import checked_name, from_fields
from workbench.actions.call import Answer, action
from workbench.actions.decisions import annotator_name, checked_margin, decide
from workbench.actions.evaluation import checked_folder
from workbench.actions.generation import checked_runs
from workbench.actions.models import at_commit, find_encoder, resolve_llm
from workbench.jobs import places
from workbench.jobs.kinds import CalibrateSpec, HygieneSpec, JudgeSpec
from workbench.paths import ASSETS
from workbench.store.decisions import Decision
from workbench.store.files import MOST_RULE_NAME_CHARS, read_notes, write_notes
from workbench.store.filters import MARGIN
from workbench.workspace import Workspace

DUPLICATE = "duplicate of triplet "
"""Start of the reason for rejecting a duplicate; the id of the triplet that was kept follows."""
_LEAST_PAIRS = 50
_writing = Lock()
"""Held while notes are read, changed and written: concurrent changes must not overwrite each other."""


@action
def curate(
    workspace: Workspace,
    *,
    attempt_ids: list[str],
    name: str,
    judge_id: str | None = None,
    rule: Annotated[dict[str, Any] | None, CurationRule] = None,
    review_margin: float | None = None,
) -> Answer:
    """Freeze the triplets that the rule keeps and people did not reject; without a judge every ok triplet is kept.

    review_margin: leave out undecided triplets this near to the rule's border (0 to 5), or on which judges differ.
    """
    name = checked_name(name, "a snapshot")
    settings = from_fields(CurationRule, rule or {}) if judge_id else None
    limits = astuple(settings) if settings else None
    sets, attempt_ids = workspace.store.final_sets, checked_runs(workspace, attempt_ids)
    chosen = (attempt_ids, judge_id, limits, checked_margin(review_margin))
    reasons = sets.reasons(*chosen)
    total = sum(reasons.values())
    if not sets.size(reasons):
        why = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
        raise InputError(f"The rule keeps none of {total} triplets ({why}): lower alpha or gamma, or raise beta.")
    made_by = provenance(workspace, attempt_ids, reasons)
    with sets.kept(*chosen) as kept:
        snapshot = workspace.store.snapshots.create(
            name, list(attempt_ids), judge_id, asdict(settings) if settings else None, kept, details=made_by
        )
    counts = {"triplets": snapshot.rows, "of": total, "reasons": reasons}
    return {"snapshot_id": snapshot.snapshot_id, "name": name} | counts


@action
def review_gate(
    workspace: Workspace,
    *,
    attempt_ids: Sequence[str],
    judge_id: str,
    rule: Annotated[dict[str, Any] | None, CurationRule] = None,
    margin: float = MARGIN,
) -> Answer:
    """Return how many judged triplets the rule keeps or loses for certain, and how many people should look at.

    margin: distance to the rule's border, 0 to 5, within which a triplet is uncertain; also where judges differ.
    """
    attempts, limits = checked_runs(workspace, attempt_ids), astuple(from_fields(CurationRule, rule or {}))
    return dict(workspace.store.funnels.gate(attempts, judge_id, limits, checked_margin(margin) or 0.0))


@action
def curation_notes(workspace: Workspace) -> Answer:
    """Return the guidelines (Markdown), the share that every annotator decides, the default judge, and all rules."""
    notes = read_notes(workspace.root)
    rules = {name: asdict(rule) for name, rule in (RULE_PRESETS | notes.rules).items()}
    return {
        "guidelines": notes.guidelines,
        "shared": notes.shared,
        "judge": notes.judge,
        "rules": rules,
        "saved": list(notes.rules),
    }


@action
def save_guidelines(
    workspace: Workspace, *, guidelines: str | None = None, shared: float | None = None, judge: str | None = None
) -> Answer:
    """Save the guidelines, the share that every annotator decides (0 to 1), the default judge; omitted ones stay."""
    with _writing:
        notes = read_notes(workspace.root)
        text = notes.guidelines if guidelines is None else guidelines
        share = notes.shared if shared is None else shared
        first = notes.judge if judge is None else judge.strip()
        write_notes(workspace.root, replace(notes, guidelines=text, shared=share, judge=first))
    return curation_notes(workspace)


@action
def save_rule(workspace: Workspace, *, name: str, rule: Annotated[dict[str, Any], CurationRule]) -> Answer:
    """Save a rule under a name; a saved rule of that name is replaced, a preset cannot be."""
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
    """Return where triplets of these generation runs come from: who wrote, judged and decided them, with hashes."""
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


@action
def start_hygiene(
    workspace: Workspace,
    *,
    attempt_ids: list[str],
    sts_dir: str | None = None,
    guide: str | None = "all-MiniLM-L6-v2",
    threshold: float = 0.8,
    on: str = places.LOCAL,
) -> Answer:
    """Queue the search for duplicates, leaks into the STS folder, copies and, with a guide, false hard negatives.

    People's decisions are applied first. threshold: minimum share of letter sequences that near duplicates share.
    `on`: local, gpu:NUMBER, gpu:0,1, ray or ray:ADDRESS, where the guide embeds.
    """
    if not 0.5 <= threshold <= 1:
        raise InputError(f"Near duplicates need a similarity between 0.5 and 1, got {threshold}.")
    sets, chosen = workspace.store.final_sets, (checked_runs(workspace, attempt_ids), None, None)
    count = sets.size(sets.reasons(*chosen))
    if not count:
        raise InputError("These generation runs hold no usable triplets except rejected ones: generate some first.")
    spec = HygieneSpec(
        attempt_ids=tuple(attempt_ids),
        sts_dir=str(checked_folder(sts_dir)) if sts_dir else None,
        guide=find_encoder(workspace, guide).folder if guide else None,
        threshold=threshold,
        on=places.checked("hygiene", on),
    )
    with sets.kept(*chosen) as rows:
        job_id = workspace.jobs.submit(spec, rows, title=f"Hygiene of {count:,} triplets")
    return {"job_id": job_id, "triplets": count}


@action
def keep_one(workspace: Workspace, *, groups: Sequence[Sequence[str]], annotator: str) -> Answer:
    """Reject all but the first triplet of each group as one step; the reason names the one that was kept."""
    who = annotator_name(annotator)
    decisions = [
        Decision(triplet_id, "reject", annotator=who, reason=f"{DUPLICATE}{group[0]}")
        for group in groups
        for triplet_id in group[1:]
    ]
    batch_id = workspace.store.decisions.append(decisions)
    return {"batch_id": batch_id, "rejected": len(decisions)}


@action
def reject_all(workspace: Workspace, *, triplet_ids: Sequence[str], reason: str, annotator: str) -> Answer:
    """Reject these triplets for one reason, as one step."""
    made = decide(workspace, triplet_ids=triplet_ids, action="reject", annotator=annotator, reason=reason)
    return {"batch_id": made["batch_id"], "rejected": made["decided"]}


@action
def start_judge(
    workspace: Workspace,
    *,
    attempt_ids: list[str],
    judges: list[str] | None = None,
    gold_dir: str | None = None,
    title: str = "",
    on: str = places.LOCAL,
) -> Answer:
    """Queue the judging of all triplets of these generation runs with both sides ok.

    Raw values become scores by the newest calibration of the workspace, else by the shipped one; with `gold_dir` by
    one fitted first. `on`: local, gpu:NUMBER, ray or ray:ADDRESS.
    """
    chosen = _at_commits(workspace, judges or EMBEDDED_JUDGES)
    known = _known(workspace, chosen)
    spec = JudgeSpec(tuple(chosen), tuple(attempt_ids), gold_dir, *known, on=places.checked("judge", on))
    for entry in spec.llms.values():
        places.require_own_llm(on, entry.kind)
    if not gold_dir:
        _require_calibrations(workspace, chosen)
    sets, runs = workspace.store.final_sets, checked_runs(workspace, attempt_ids)
    count = sum(sets.reasons(runs, None, None).values())
    if not count:
        raise InputError("These generation runs hold no triplet with both sides ok: generate some first.")
    with sets.texts(runs) as rows:
        job_id = workspace.jobs.submit(spec, rows, title=title or f"{count} triplets, {', '.join(chosen)}")
    return {"job_id": job_id, "triplets": count}


def _at_commits(workspace: Workspace, judges: Sequence[str]) -> list[str]:
    """Return the judges, those whose guide is on the hub with its commit."""
    split = [judge.partition(":") for judge in judges]
    return [
        f"{kind}:{at_commit(workspace, model)}" if kind == "guide" else f"{kind}{colon}{model}"
        for kind, colon, model in split
    ]


@action
def start_calibrate(
    workspace: Workspace,
    *,
    attempt_ids: list[str],
    judges: list[str],
    gold_dir: str | None = None,
    task: str = "",
    pairs: int = 500,
    ensemble: str | None = None,
) -> Answer:
    """Queue the fit of a calibration per judge: on gold pairs of a folder, or without one on people's decisions.

    The scores that these judges gave the runs' triplets are recomputed from the raw values. With `ensemble` (a
    name) the judges' weighted sum is fitted too, as one more judge.
    """
    if not judges:
        raise InputError("There is no judge to calibrate: choose at least one.")
    if ensemble is not None and (len(judges) < 2 or not gold_dir or not ensemble.strip()):
        raise InputError("An ensemble needs a name, at least two judges and a folder of gold pairs.")
    if any(judge_id.startswith(f"{ENSEMBLE}:") for judge_id in judges):
        raise InputError("An ensemble is fitted from its members: choose those.")
    if gold_dir and pairs < _LEAST_PAIRS:
        raise InputError(f"A calibration needs at least {_LEAST_PAIRS} gold pairs, got {pairs}.")
    judges = _at_commits(workspace, judges)
    spec = CalibrateSpec(
        tuple(judges),
        tuple(attempt_ids),
        str(tuning_folder(gold_dir)) if gold_dir else None,
        *_known(workspace, judges),
        task=task,
        pairs=pairs,
        ensemble=ensemble.strip() if ensemble else None,
    )
    frame = workspace.store.judgements.raw_values(checked_runs(workspace, attempt_ids), judges)
    where = Path(gold_dir).name if gold_dir else "people's decisions"
    return {"job_id": workspace.jobs.submit(spec, frame, title=f"{', '.join(judges)} on {where}")}


def tuning_folder(gold_dir: str) -> Path:
    """Return the absolute folder of gold pairs. InputError when it is missing or holds none."""
    folder = Path(gold_dir).expanduser().resolve()
    tuning_tasks(folder)
    return folder


def known_calibrations(workspace: Workspace) -> dict[str, Calibration]:
    """Return every calibration by version: those of the workspace and the shipped ones."""
    own = [fitted.calibration for fitted in workspace.store.calibrations.list()]
    return {calibration.version: calibration for calibration in [*read_calibrations(ASSETS), *own]}


def calibrated_judges(workspace: Workspace) -> dict[str, Calibration]:
    """Return the calibration that each judge would use now."""
    found = {calibration.judge_id: calibration for calibration in read_calibrations(ASSETS)}
    newest = workspace.store.calibrations.newest()
    return found | {judge_id: fitted.calibration for judge_id, fitted in newest.items()}


def _known(
    workspace: Workspace, judges: Sequence[str]
) -> tuple[dict[str, LLMEntry], dict[str, Calibration], dict[str, Ensemble]]:
    """The LLM entries, calibrations and ensembles of the workspace that the job needs."""
    ensembles = workspace.store.calibrations.ensembles()
    wanted = [*judges, *(member for name in judges if name in ensembles for member in ensembles[name].members)]
    models = {model for kind, _, model in (judge.partition(":") for judge in wanted) if kind in LLM_KINDS and model}
    newest = workspace.store.calibrations.newest()
    return (
        {model: resolve_llm(workspace, model) for model in sorted(models)},
        {name: newest[name].calibration for name in wanted if name in newest},
        {name: ensembles[name] for name in judges if name in ensembles},
    )


def _require_calibrations(workspace: Workspace, judges: Sequence[str]) -> None:
    known = calibrated_judges(workspace)
    missing = [judge_id for judge_id in judges if judge_id not in known]
    if missing:
        raise InputError(
            f"There is no calibration for {', '.join(missing)}: name a folder with gold pairs to fit one."
        )
