"""Fitting calibrations, and an ensemble, as a job; scores that are kept get their place on the new curve at once.

Nothing is judged again: the raw values of triplets are stored, and only their way to 0-5 changes.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.curation.calibration import Calibration
from pipeline.curation.decision_targets import decision_targets
from pipeline.curation.ensemble import Ensemble, fit_ensemble
from pipeline.durable import write_array
from pipeline.evaluation.gold import GoldPairs, gold_pairs
from workbench.ids import now
from workbench.jobs.context import JobContext
from workbench.jobs.handlers.calibrating import (
    calibration_row,
    file_of,
    fit,
    judgement_rows,
    opened_judge,
)
from workbench.jobs.kinds import CalibrateSpec

DECISIONS = "people's decisions"
_CHUNK_PAIRS = 50
_ROWS_A_WRITE = 2_000


def run(context: JobContext[CalibrateSpec]) -> None:
    """Fit the judges of the spec, then the ensemble it names, and map the input's raw values."""
    stored, spec = context.input(), context.spec
    gold = gold_pairs(Path(spec.gold_dir), task=spec.task, count=spec.pairs) if spec.gold_dir else None
    values = {}
    for number, judge_id in enumerate(spec.judges):
        context.progress(number, len(spec.judges) + 1, message=f"Loading judge {judge_id}")
        if gold is None:
            raw, target = _decided(stored[stored["judge_id"] == judge_id])
        else:
            raw, target = _gold_raw(context, judge_id, gold, number), gold.gold
        values[judge_id] = raw
        calibration, points = fit(judge_id, raw, target, fitted_on=gold.name if gold else DECISIONS)
        _keep(context, calibration, points, None, stored[stored["judge_id"] == judge_id])
    if spec.ensemble and gold is not None:
        ensemble = fit_ensemble(spec.ensemble, values, gold.gold, seed=0)
        raw = ensemble.raw(values)
        calibration, points = fit(ensemble.judge_id, raw, gold.gold, fitted_on=gold.name)
        _keep(context, calibration, points, ensemble, _combined(ensemble, stored))
    context.progress(len(spec.judges) + 1, len(spec.judges) + 1, message="Calibrated")


def _gold_raw(context: JobContext, judge_id: str, gold: GoldPairs, number: int) -> np.ndarray:
    """Score the gold pairs; what a job that was stopped had scored is not scored again."""
    kept = file_of(context, "gold", judge_id, ".npy")
    done = np.load(kept, allow_pickle=False) if kept.exists() else np.zeros(0)
    if len(done) == len(gold.pairs):
        return done
    judge = opened_judge(context, judge_id)
    total = len(context.spec.judges) + 1
    while len(done) < len(gold.pairs):
        context.stop_if_asked()
        chunk = gold.pairs[len(done) : len(done) + _CHUNK_PAIRS]
        done = np.concatenate([done, judge.scores(chunk)])
        write_array(kept, done)
        context.progress(number, total, message=f"{judge_id}: {len(done):,} of {len(gold.pairs):,} gold pairs")
    return done


def _decided(stored: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    decided = stored[stored["action"].notna()]
    columns = [decided[name].to_numpy() for name in ("action", "reason", "a_raw", "b_raw")]
    return decision_targets(columns[0], columns[1], columns[2], columns[3])


def _combined(ensemble: Ensemble, stored: pd.DataFrame) -> pd.DataFrame:
    """Raw values of the ensemble for the triplets that all of its members have judged."""
    sides = {}
    for side in ("a_raw", "b_raw"):
        wide = stored.pivot(index="triplet_id", columns="judge_id", values=side)
        if not set(ensemble.members) <= set(wide.columns):
            return stored.head(0)
        wide = wide[list(ensemble.members)].dropna()
        sides[side] = ensemble.raw({member: wide[member].to_numpy() for member in ensemble.members})
        ids = wide.index
    return pd.DataFrame(sides | {"triplet_id": ids})


def _keep(
    context: JobContext,
    calibration: Calibration,
    points: list,
    ensemble: Ensemble | None,
    stored: pd.DataFrame,
) -> None:
    """Write the calibration and the triplets' new places on it; a resumed job repeats rows, which changes nothing."""
    moment = now()
    context.write([calibration_row(calibration, points, moment, ensemble)])
    known = stored[stored["a_raw"].notna() & stored["b_raw"].notna()]
    for start in range(0, len(known), _ROWS_A_WRITE):
        part = known.iloc[start : start + _ROWS_A_WRITE]
        sides = (part["a_raw"].to_numpy(dtype=float), part["b_raw"].to_numpy(dtype=float))
        context.write(judgement_rows(part["triplet_id"].tolist(), calibration.judge_id, calibration, *sides))
