"""Evaluation as a job: one score row per task, and every pair's prediction beside it for the error pages."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.durable import write_json, write_table
from pipeline.evaluation.benchmark import TaskResult, evaluate, held_out_accuracy, notes
from pipeline.evaluation.held_out import HELD_OUT_TASK
from pipeline.evaluation.space import is_positive, space_quality
from pipeline.evaluation.sts import StsTask, find_tasks, read_task
from pipeline.records import Triplet
from pipeline.training.encoders import load_encoder
from pipeline.vectors import CachedEncoder, CorpusVectors, corpus_vectors
from workbench.jobs.context import JobContext
from workbench.jobs.handlers.folder_tasks import (
    evaluate_retrieval_folder,
    evaluate_transfer_folder,
)
from workbench.jobs.kinds import EvaluateSpec

NOTES_FILE = "notes.json"
Report = Callable[[int, int, str], None]
"""Takes tasks done, tasks in all, and what is being done."""


def run(context: JobContext[EvaluateSpec]) -> None:
    """Evaluate the encoder of the spec on a folder of tasks, or on the held-out triplets of the job's input."""
    spec = context.spec
    if spec.sts_dir:
        evaluate_folder(context, spec.encoder, spec.encoder_id, Path(spec.sts_dir))
    elif spec.retrieval_dir:
        evaluate_retrieval_folder(context, spec.encoder, spec.encoder_id, Path(spec.retrieval_dir))
    elif spec.transfer_dir:
        evaluate_transfer_folder(context, spec.encoder, spec.encoder_id, Path(spec.transfer_dir))
    else:
        evaluate_held_out(context, spec.encoder, spec.encoder_id, held_out_of(context.input()))


def evaluate_folder(
    context: JobContext, encoder: str, encoder_id: str, sts_dir: Path, *, report: Report | None = None
) -> None:
    """Score the tasks that the journal does not hold yet; predictions go to out/pairs-TASK.parquet.

    The vectors of all the folder's sentences are computed once per encoder and kept in the workspace. `report` takes
    the progress (tasks done, tasks, message) of a job that does more than this; its own progress by default.
    """
    report = report or context.progress
    tasks = [read_task(name, path) for name, path in find_tasks(sts_dir).items()]
    done = context.done("scores", "task")
    model = load_encoder(encoder)
    texts = [text for task in tasks for text in task.sentence1 + task.sentence2]

    def encoded(texts_done: int, texts_total: int) -> None:
        report(len(done), len(tasks), f"Encoded {texts_done:,} of {texts_total:,} sentences")
        context.stop_if_asked()

    vectors = corpus_vectors(texts, model, cache=context.vectors, on_texts=encoded)
    waiting = [task for task in tasks if task.name not in done]
    for finished, result in enumerate(evaluate(model, waiting, vectors=vectors), start=len(done) + 1):
        keep_pairs(context, result)
        keep_notes(context, result)
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
        report(
            finished,
            len(tasks),
            f"Evaluated {result.score.task}" + (f": no score, {why}" if (why := result.undefined) else ""),
        )
        if context.stop_requested():
            return
    keep_space(context, encoder_id, tasks, vectors)


def keep_notes(context: JobContext, result: TaskResult) -> None:
    """Add to out/notes.json why a task has no score and which of its lines could not be used."""
    path = context.out / NOTES_FILE
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    write_json(path, {kind: kept.get(kind, {}) | found for kind, found in notes([result]).items()})


def keep_space(context: JobContext, encoder_id: str, tasks: list[StsTask], vectors: CorpusVectors) -> None:
    """Write out/space.json: the shape of the space over the sentences of all tasks."""
    first, second = [], []
    for task in tasks:
        rows = np.flatnonzero(is_positive(task.gold))
        first += [task.sentence1[row] for row in rows]
        second += [task.sentence2[row] for row in rows]
    quality = space_quality(vectors.unit_ud, vectors(first), vectors(second), seed=0)
    record = {"encoder_id": encoder_id, "tasks": [task.name for task in tasks]} | quality.as_dict()
    write_json(context.out / "space.json", record)


def evaluate_held_out(
    context: JobContext, encoder: str, encoder_id: str, triplets: list[Triplet], *, report: Report | None = None
) -> None:
    """Score the share of triplets whose positive is nearer to the premise than the hard negative."""
    accuracy = held_out_accuracy(CachedEncoder(load_encoder(encoder), context.vectors), triplets)
    score = {"encoder_id": encoder_id, "task": HELD_OUT_TASK, "accuracy": accuracy, "pairs": len(triplets)}
    context.write([{"table": "scores", "job_id": context.job_id, **score}])
    (report or context.progress)(1, 1, f"Evaluated {HELD_OUT_TASK}")


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
    write_table(context.out / f"pairs-{result.score.task}.parquet", frame)
