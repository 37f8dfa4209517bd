"""Stage 2 as a job: each judge scores (premise, positive) and (premise, hard negative); raw values are kept."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.curation.calibration import Calibration, default_calibration
from pipeline.curation.ensemble import Ensemble, members_first
from pipeline.curation.judges import Judge
from pipeline.durable import write_json
from pipeline.errors import InputError
from pipeline.evaluation.gold import gold_pairs
from workbench.ids import now
from workbench.jobs.context import JobContext
from workbench.jobs.handlers.calibrating import (
    calibration_row,
    file_of,
    fit,
    judgement_rows,
    opened_judge,
)
from workbench.jobs.kinds import JudgeSpec
from workbench.journal import read_rows
from workbench.paths import ASSETS

BATCH_TRIPLETS = 32


def run(context: JobContext[JudgeSpec]) -> None:
    """Score the triplets that this judge has not scored yet, one judge after the other."""
    frame = context.input()
    ensembles = context.spec.ensembles
    judge_ids = members_first(context.spec.judges, ensembles)
    done = context.done("judgements", "judgement_id")
    total, finished = len(frame) * len(judge_ids), len(done)
    details: dict[str, Any] = {}
    for judge_id in judge_ids:
        waiting = [row for row in frame.itertuples(index=False) if f"{row.triplet_id}|{judge_id}" not in done]
        if not waiting:
            continue
        context.progress(finished, total, message=f"Loading judge {judge_id}")
        if judge_id in ensembles:
            context.write(ensemble_rows(context, ensembles[judge_id], waiting))
            finished += len(waiting)
            continue
        judge = opened_judge(context, judge_id)
        calibration = calibrate(context, judge)
        for start in range(0, len(waiting), BATCH_TRIPLETS):
            if context.stop_requested():
                return
            batch = waiting[start : start + BATCH_TRIPLETS]
            context.write(judge_batch(judge, calibration, batch))
            finished += len(batch)
            unscored = getattr(judge, "unscored", None)
            if unscored:
                details["unscored"] = details.get("unscored", {}) | {judge_id: dict(unscored)}
            context.progress(finished, total, message=f"Judging with {judge_id}", **details)
    told = [f"{judge_id} left {said(counts)}" for judge_id, counts in details.get("unscored", {}).items()]
    context.progress(finished, total, message="; ".join(["Judged", *told]), **details)


def said(counts: dict[str, int]) -> str:
    """Return how many pairs a server left without a score, and why."""
    each = ", ".join(f"{count:,} {why}" for why, count in sorted(counts.items()))
    return f"{sum(counts.values()):,} pairs unscored ({each})"


def judge_batch(judge: Judge, calibration: Calibration, rows: list[Any]) -> list[dict[str, Any]]:
    """Return the journal rows of one batch."""
    pairs = [(row.premise, row.positive) for row in rows] + [(row.premise, row.hard_negative) for row in rows]
    raw = judge.scores(pairs)
    ids = [row.triplet_id for row in rows]
    return judgement_rows(ids, judge.judge_id, calibration, raw[: len(rows)], raw[len(rows) :])


def ensemble_rows(context: JobContext[JudgeSpec], ensemble: Ensemble, rows: list[Any]) -> list[dict[str, Any]]:
    """Combine what the members have written to this journal; nothing is asked again."""
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

    The curve is kept in the job's output: a resumed job goes on with the same one.
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
