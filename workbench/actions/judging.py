"""Starting judges, and fitting the curves that turn their raw values into scores."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.curation.calibration import Calibration, read_calibrations
from pipeline.curation.ensemble import KIND as ENSEMBLE
from pipeline.curation.ensemble import Ensemble
from pipeline.curation.judges import EMBEDDED_JUDGES, LLM_KINDS
from pipeline.errors import InputError
from pipeline.generation.llms.entries import LLMEntry
from workbench.actions.generation import known_attempts
from workbench.actions.llms import resolve_llm
from workbench.jobs.kinds import CalibrateSpec, JudgeSpec
from workbench.paths import ASSETS
from workbench.workspace import Workspace

_LEAST_PAIRS = 50


def start_judge(
    workspace: Workspace,
    *,
    attempt_ids: list[str],
    judges: list[str] | None = None,
    gold_dir: str | None = None,
    title: str = "",
) -> dict[str, Any]:
    """Queue the judging of all triplets of these attempts whose both sides ended ok.

    Raw values become scores by the newest calibration of the workspace, else by the shipped one; with `gold_dir` by
    one that is fitted first.
    """
    chosen = list(judges or EMBEDDED_JUDGES)
    spec = JudgeSpec(tuple(chosen), tuple(attempt_ids), gold_dir, *_known(workspace, chosen))
    if not gold_dir:
        _require_calibrations(workspace, chosen)
    frame = workspace.store.final_sets.texts(known_attempts(workspace, attempt_ids))
    if frame.empty:
        raise InputError("These attempts hold no triplet with both sides ok: generate some first.")
    job_id = workspace.jobs.submit(spec, frame, title=title or f"{len(frame)} triplets, {', '.join(chosen)}")
    return {"job_id": job_id, "triplets": len(frame)}


def start_calibrate(
    workspace: Workspace,
    *,
    attempt_ids: list[str],
    judges: list[str],
    gold_dir: str | None = None,
    task: str = "",
    pairs: int = 500,
    ensemble: str | None = None,
) -> dict[str, Any]:
    """Queue the fit of a calibration per judge: on gold pairs of a folder, or without one on people's decisions.

    Scores that these judges gave the attempts' triplets are mapped anew from their raw values. With `ensemble` (a
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
    spec = CalibrateSpec(
        tuple(judges),
        tuple(attempt_ids),
        str(tuning_folder(gold_dir)) if gold_dir else None,
        *_known(workspace, judges),
        task=task,
        pairs=pairs,
        ensemble=ensemble.strip() if ensemble else None,
    )
    frame = workspace.store.judgements.raw_values(known_attempts(workspace, attempt_ids), judges)
    where = f"{Path(gold_dir).name}" if gold_dir else "people's decisions"
    return {"job_id": workspace.jobs.submit(spec, frame, title=f"{', '.join(judges)} on {where}")}


def tuning_folder(gold_dir: str) -> Path:
    """Return the absolute folder of gold pairs. InputError when it is missing or holds none."""
    from pipeline.evaluation.gold import tuning_tasks

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
    """What the job needs of the workspace: entries of LLMs, calibrations, ensembles."""
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
            f"No calibration is known for {', '.join(missing)}: name a folder with gold pairs to fit one."
        )
