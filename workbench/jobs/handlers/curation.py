"""Stage 2 as a job: each judge scores (premise, positive) and (premise, hard negative); raw values are kept."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.curation.calibration import (
    Calibration,
    GoldPairs,
    decision_targets,
    default_calibration,
    fit_calibration,
    gold_pairs,
    split,
    usable_pairs,
)
from pipeline.curation.judges import Ensemble, Judge, fit_ensemble, load_judge, members_first, score_triplets
from pipeline.durable import write_array, write_json
from pipeline.generation.llms.loading import loading_words
from pipeline.records import InputError
from workbench.jobs import row_makers
from workbench.jobs.context import JobContext
from workbench.jobs.handlers.generation import CompactIds
from workbench.jobs.kinds import CalibrateSpec, JudgeSpec
from workbench.jobs.on_cluster import JudgeOnCluster
from workbench.jobs.places import Place
from workbench.jobs.ray_rows import RayRows
from workbench.journal import Row, Rows, now, read_rows
from workbench.paths import ASSETS

POINTS = 200
"""Held-out pairs kept for the plot of a curve."""
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
) -> Row:
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
) -> Rows:
    """Return the journal rows of some triplets: raw values and scores on the 0-5 scale."""
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


BATCH_TRIPLETS = 32


class Asked(NamedTuple):
    """A triplet of the job's input."""

    triplet_id: str
    premise: str
    positive: str
    hard_negative: str


def _waiting(context: JobContext[JudgeSpec], judge_id: str, done: CompactIds) -> Iterator[Asked]:
    """Yield the triplets that this judge has not scored yet, read as they are asked for."""
    rows = map(Asked._make, context.input_tuples(*Asked._fields))
    return (row for row in rows if f"{row.triplet_id}|{judge_id}" not in done)


def run_judge(context: JobContext[JudgeSpec]) -> None:
    """Score the triplets that this judge has not scored yet, one judge after the other."""
    ensembles, place = context.spec.ensembles, Place.parse(context.spec.on)
    judge_ids = members_first(context.spec.judges, ensembles)
    done = CompactIds(context.written("judgements", "judgement_id"))
    total, finished = context.input_rows() * len(judge_ids), len(done)
    details: dict[str, Any] = {}
    for judge_id in judge_ids:
        count = sum(1 for _ in _waiting(context, judge_id, done))
        if not count:
            continue
        waiting = _waiting(context, judge_id, done)
        entry, named = context.spec.llms.get(judge_id.partition(":")[2]), f"judge {judge_id}"
        words = loading_words(entry, named) if entry else f"Loading {named}"
        context.progress(finished, total, message=words)
        if judge_id in ensembles:
            context.write(ensemble_rows(context, ensembles[judge_id], list(waiting)))
            finished += count
            continue
        if place.engine == "ray":
            finished = _judge_on_ray(context, place.address, judge_id, waiting, count, finished, total)
            if context.stop_requested():
                return
            continue
        judge = opened_judge(context, judge_id)
        calibration = calibrate(context, judge)
        began, judged = monotonic(), 0
        while batch := list(islice(waiting, BATCH_TRIPLETS)):
            if context.stop_requested():
                return
            context.write(judge_batch(judge, calibration, batch))
            finished, judged = finished + len(batch), judged + len(batch)
            spent = {"seconds": monotonic() - began, "triplets": judged}
            details["cost"] = details.get("cost", {}) | {judge_id: spent}
            if counts := getattr(judge, "unscored", None):
                details["unscored"] = details.get("unscored", {}) | {judge_id: dict(counts)}
            context.progress(finished, total, message=f"Judging with {judge_id}", **details)
    left = [f"{judge_id} left {unscored_text(counts)}" for judge_id, counts in details.get("unscored", {}).items()]
    context.progress(finished, total, message="; ".join(["Judged", *left]), **details)


def _judge_on_ray(
    context: JobContext[JudgeSpec],
    address: str,
    judge_id: str,
    waiting: Iterator[Asked],
    count: int,
    finished: int,
    total: int,
) -> int:
    """Score so many waiting triplets on the nodes of a cluster; return how many of the job's rows are written."""
    maker = row_makers.JudgeMaker(judge_id, context.spec.llms.get(judge_id.partition(":")[2]))
    items = ((row.triplet_id, ((row.premise, row.positive), (row.premise, row.hard_negative))) for row in waiting)
    with closing(RayRows(address, maker)) as pool:
        calibration = calibrate(context, JudgeOnCluster(judge_id, pool, context.is_to_stop))
        for batch in pool.results(items, count, context.is_to_stop):
            ids, raw = zip(*batch, strict=True)
            a, b = np.array(raw, dtype=float).T
            context.write(judgement_rows(ids, judge_id, calibration, a, b))
            finished += len(batch)
            context.progress(finished, total, message=f"Judging with {judge_id}", **pool.details())
    return finished


def unscored_text(counts: dict[str, int]) -> str:
    """Return how many pairs a server left without a score, and why."""
    each = ", ".join(f"{count:,} {why}" for why, count in sorted(counts.items()))
    return f"{sum(counts.values()):,} pairs unscored ({each})"


def judge_batch(judge: Judge, calibration: Calibration, rows: list[Any]) -> Rows:
    """Return the journal rows of one batch."""
    a, b = score_triplets(judge, rows)
    return judgement_rows([row.triplet_id for row in rows], judge.judge_id, calibration, a, b)


def ensemble_rows(context: JobContext[JudgeSpec], ensemble: Ensemble, rows: list[Any]) -> Rows:
    """Combine the members' rows in this journal; no judge is asked again."""
    known = {
        (row["triplet_id"], row["judge_id"]): (row["a_raw"], row["b_raw"])
        for row in read_rows(context.folder.journal)
        if row["table"] == "judgements"
    }
    raw = [
        ensemble.raw(
            {member: np.array([known[row.triplet_id, member][side] for row in rows]) for member in ensemble.members}
        )
        for side in (0, 1)
    ]
    calibration = known_calibration(context, ensemble.judge_id)
    return judgement_rows([row.triplet_id for row in rows], ensemble.judge_id, calibration, *raw)


def calibrate(context: JobContext[JudgeSpec], judge: Judge) -> Calibration:
    """Fit on the gold pairs of the job's folder when it names one, else take the one known for this judge.

    The curve is kept in the job's output, where a resumed job finds it.
    """
    kept = file_of(context, "calibration", judge.judge_id, ".json")
    if kept.exists():
        return Calibration.from_json(json.loads(kept.read_text(encoding="utf-8")))
    if gold_dir := context.spec.gold_dir:
        gold = gold_pairs(Path(gold_dir))
        calibration, points = fit(judge.judge_id, judge.scores(gold.pairs), gold.gold, fitted_on=gold.name)
        context.write([calibration_row(calibration, points, now())])
    else:
        calibration = known_calibration(context, judge.judge_id)
    write_json(kept, calibration.to_json())
    return calibration


def known_calibration(context: JobContext[JudgeSpec], judge_id: str) -> Calibration:
    """Return the workspace's newest calibration of this judge, which the spec carries, else the shipped one."""
    if known := context.spec.calibrations.get(judge_id):
        return known
    calibration = default_calibration(judge_id, ASSETS)
    if calibration is None:
        raise InputError(
            f"No calibration is known for judge {judge_id}: name a folder with gold pairs such as STSB-dev.tsv."
        )
    return calibration


DECISIONS = "people's decisions"
_CHUNK_PAIRS = 50
_ROWS_A_WRITE = 2_000


def run_calibrate(context: JobContext[CalibrateSpec]) -> None:
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
    """Write the calibration and the recalibrated scores; rows that a resumed job repeats change nothing."""
    moment = now()
    context.write([calibration_row(calibration, points, moment, ensemble)])
    known = stored[stored["a_raw"].notna() & stored["b_raw"].notna()]
    for start in range(0, len(known), _ROWS_A_WRITE):
        part = known.iloc[start : start + _ROWS_A_WRITE]
        sides = (part["a_raw"].to_numpy(dtype=float), part["b_raw"].to_numpy(dtype=float))
        context.write(judgement_rows(part["triplet_id"].tolist(), calibration.judge_id, calibration, *sides))
