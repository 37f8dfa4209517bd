"""Stage 2 as a job: each judge scores (premise, positive) and (premise, hard negative); raw values are kept."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.curation.calibration import Calibration, default_calibration, fit_calibration
from pipeline.curation.judges import Judge, load_judge
from pipeline.errors import InputError
from pipeline.evaluation.sts import find_tasks, read_task
from workbench.jobs.context import JobContext
from workbench.paths import ASSETS

BATCH_TRIPLETS = 32
GOLD_PAIRS = 500
"""Gold pairs scored for a calibration of one's own: enough for an isotonic curve, seconds with the embedded LLM."""


def run(context: JobContext) -> None:
    """Score the triplets that this judge has not scored yet, one judge after the other."""
    frame = context.input()
    judge_ids: list[str] = context.spec["judges"]
    done = context.done("judgements", "judgement_id")
    total, finished = len(frame) * len(judge_ids), len(done)
    for judge_id in judge_ids:
        waiting = [row for row in frame.itertuples(index=False) if f"{row.triplet_id}|{judge_id}" not in done]
        if not waiting:
            continue
        context.progress(finished, total, message=f"Loading judge {judge_id}")
        judge = load_judge(judge_id)
        calibration = calibrate(context, judge)
        for start in range(0, len(waiting), BATCH_TRIPLETS):
            if context.stop_requested():
                return
            batch = waiting[start : start + BATCH_TRIPLETS]
            context.write(judge_batch(judge, calibration, batch))
            finished += len(batch)
            context.progress(finished, total, message=f"Judging with {judge_id}")


def judge_batch(judge: Judge, calibration: Calibration, rows: list[Any]) -> list[dict[str, Any]]:
    """Return the journal rows of one batch: raw values and their place on the 0-5 scale."""
    pairs = [(row.premise, row.positive) for row in rows] + [(row.premise, row.hard_negative) for row in rows]
    raw = judge.scores(pairs)
    score = calibration.apply(raw)
    n = len(rows)
    return [
        {
            "table": "judgements",
            "judgement_id": f"{row.triplet_id}|{judge.judge_id}",
            "triplet_id": row.triplet_id,
            "judge_id": judge.judge_id,
            "calibration": calibration.version,
            "a_raw": float(raw[i]),
            "b_raw": float(raw[n + i]),
            "a": float(score[i]),
            "b": float(score[n + i]),
        }
        for i, row in enumerate(rows)
    ]


def calibrate(context: JobContext, judge: Judge) -> Calibration:
    """Fit on the gold pairs of the job's folder when it names one, else take the shipped calibration.

    The fitted curve is kept in the job's output: a resumed job goes on with the same one.
    """
    kept = context.out / f"calibration-{judge.judge_id.replace(':', '-').replace('/', '-')}.json"
    if kept.exists():
        return Calibration.from_json(json.loads(kept.read_text(encoding="utf-8")))
    gold_dir = context.spec.get("gold_dir")
    calibration = fitted(judge, Path(gold_dir)) if gold_dir else shipped(judge)
    kept.write_text(json.dumps(calibration.to_json()), encoding="utf-8")
    return calibration


def fitted(judge: Judge, folder: Path) -> Calibration:
    """Fit on the first gold file meant for it (a -dev split, else -train) of this folder."""
    tasks = {
        name: path for name, path in find_tasks(folder, for_tuning=True).items() if name.endswith(("-dev", "-train"))
    }
    if not tasks:
        raise InputError(
            f"{folder} holds no -dev or -train file to calibrate a judge on: add one, or leave the folder out."
        )
    name = sorted(tasks, key=lambda task: (not task.endswith("-dev"), task != "STSB-dev", task))[0]
    task = read_task(name, tasks[name])
    chosen = np.random.default_rng(0).permutation(len(task.gold))[:GOLD_PAIRS]
    pairs = [(task.sentence1[i], task.sentence2[i]) for i in chosen]
    return fit_calibration(judge.judge_id, judge.scores(pairs), task.gold[chosen], fitted_on=name, seed=0)


def shipped(judge: Judge) -> Calibration:
    """Return the calibration that comes with the project for this judge."""
    calibration = default_calibration(judge.judge_id, ASSETS)
    if calibration is None:
        raise InputError(
            f"No calibration is known for judge {judge.judge_id}: name a folder with gold pairs such as STSB-dev.tsv."
        )
    return calibration
