"""What judging and calibrating share: a judge's raw values of gold pairs, and rows of the journal."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.curation.calibration import Calibration, fit_calibration, split, usable_pairs
from pipeline.curation.ensemble import Ensemble
from pipeline.curation.judges import Judge, load_judge
from workbench.jobs.context import JobContext
from workbench.jobs.kinds import CalibrateSpec, JudgeSpec

POINTS = 200
"""Held-out pairs kept for the picture of a curve."""
_SEED = 0


def opened_judge(context: JobContext[JudgeSpec] | JobContext[CalibrateSpec], judge_id: str) -> Judge:
    """Load a judge; its LLM is the one that the job's spec names."""
    return load_judge(judge_id, context.spec.llms.get(judge_id.partition(":")[2]), vectors=context.vectors)


def fit(judge_id: str, raw: np.ndarray, gold: np.ndarray, *, fitted_on: str) -> tuple[Calibration, list[Any]]:
    """Return a calibration and some of the (raw value, gold) that were held out of it."""
    calibration = fit_calibration(judge_id, raw, gold, fitted_on=fitted_on, seed=_SEED)
    raw, gold = usable_pairs(judge_id, raw, gold)
    held_out = split(len(raw), _SEED)[1][:POINTS]
    return calibration, np.stack([raw[held_out], gold[held_out]], axis=1).round(4).tolist()


def calibration_row(
    calibration: Calibration, points: list[Any], created_at: str, ensemble: Ensemble | None = None
) -> dict[str, Any]:
    """Return the journal row of a calibration."""
    return {
        "table": "calibrations",
        "judge_id": calibration.judge_id,
        "calibration": calibration.to_json(),
        "points": points,
        "created_at": created_at,
        "ensemble": ensemble.to_json() if ensemble else None,
    }


def judgement_rows(
    triplet_ids: Sequence[str], judge_id: str, calibration: Calibration, a_raw: np.ndarray, b_raw: np.ndarray
) -> list[dict[str, Any]]:
    """Return the journal rows of some triplets: raw values and their place on the 0-5 scale."""
    a, b = calibration.apply(a_raw), calibration.apply(b_raw)
    return [
        {
            "table": "judgements",
            "judgement_id": f"{triplet_id}|{judge_id}",
            "triplet_id": triplet_id,
            "judge_id": judge_id,
            "calibration": calibration.version,
            "a_raw": float(a_raw[i]),
            "b_raw": float(b_raw[i]),
            "a": float(a[i]),
            "b": float(b[i]),
        }
        for i, triplet_id in enumerate(triplet_ids)
    ]


def file_of(context: JobContext, kind: str, judge_id: str, suffix: str) -> Path:
    """Return the file in the job's output that belongs to a judge."""
    name = json.dumps(judge_id)[1:-1].replace(":", "-").replace("/", "-").replace("\\", "-")
    return context.out / f"{kind}-{name}{suffix}"
