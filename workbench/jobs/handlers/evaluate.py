"""Evaluation as a job: one score row per task, and every pair's prediction beside it for the error pages."""

from pathlib import Path

import pandas as pd

from pipeline.evaluation.benchmark import TaskResult, evaluate, held_out_accuracy
from pipeline.evaluation.held_out import HELD_OUT_TASK
from pipeline.evaluation.sts import find_tasks, read_task
from pipeline.records import Triplet
from pipeline.training.encoders import load_encoder
from workbench.jobs.context import JobContext


def run(context: JobContext) -> None:
    """Evaluate the encoder of the spec on the tasks of its folder, or on the held-out triplets of the job's input."""
    spec = context.spec
    if spec.get("sts_dir"):
        evaluate_folder(context, spec["encoder"], spec["encoder_id"], Path(spec["sts_dir"]))
    else:
        evaluate_held_out(context, spec["encoder"], spec["encoder_id"], held_out_of(context.input()))


def evaluate_folder(context: JobContext, encoder: str, encoder_id: str, sts_dir: Path) -> None:
    """Score the tasks that the journal does not hold yet; predictions go to out/pairs-TASK.parquet."""
    tasks = find_tasks(sts_dir)
    done = context.done("scores", "task")
    model = load_encoder(encoder)
    waiting = [read_task(name, path) for name, path in tasks.items() if name not in done]
    for finished, result in enumerate(evaluate(model, waiting), start=len(done) + 1):
        keep_pairs(context, result)
        context.write(
            [
                {
                    "table": "scores",
                    "encoder_id": encoder_id,
                    "task": result.score.task,
                    "spearman": result.score.spearman,
                    "pairs": result.score.pairs,
                    "job_id": context.job_id,
                }
            ]
        )
        context.progress(finished, len(tasks), message=f"Evaluated {result.score.task}")
        if context.stop_requested():
            return


def evaluate_held_out(context: JobContext, encoder: str, encoder_id: str, triplets: list[Triplet]) -> None:
    """Score the share of triplets whose positive is nearer to the premise than the hard negative."""
    accuracy = held_out_accuracy(load_encoder(encoder), triplets)
    score = {"encoder_id": encoder_id, "task": HELD_OUT_TASK, "accuracy": accuracy, "pairs": len(triplets)}
    context.write([{"table": "scores", "job_id": context.job_id, **score}])
    context.progress(1, 1, message=f"Evaluated {HELD_OUT_TASK}")


def held_out_of(frame: pd.DataFrame) -> list[Triplet]:
    """Return the held-out rows of a job's input."""
    return triplets_of(frame[frame["split"] == "held_out"])


def triplets_of(frame: pd.DataFrame) -> list[Triplet]:
    """Return the rows of a table as triplets."""
    columns = ["premise", "positive", "hard_negative"]
    return [Triplet(*row) for row in frame[columns].itertuples(index=False, name=None)]


def keep_pairs(context: JobContext, result: TaskResult) -> None:
    """Write the predictions of one task, whole or not at all."""
    frame = pd.DataFrame(
        {
            "sentence1": result.task.sentence1,
            "sentence2": result.task.sentence2,
            "subset": result.task.subset,
            "gold": result.task.gold,
            "predicted": result.predicted,
        }
    )
    target = context.out / f"pairs-{result.score.task}.parquet"
    partial = target.with_suffix(".partial")
    frame.to_parquet(partial, index=False)
    partial.replace(target)
