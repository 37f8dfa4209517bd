"""Evaluation as a job: one score row per task, every pair's prediction beside it; tasks of the hub as files."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from pipeline.durable import write_json, write_table
from pipeline.encoders import load_encoder
from pipeline.evaluation import benchmark, hub_tasks, metrics, mteb_tasks, retrieval, sts, transfer
from pipeline.records import InputError, ScoredTriplet, Triplet, UnreachableError
from pipeline.vectors import CachedEncoder, CorpusVectors, corpus_vectors
from workbench.jobs.context import JobContext
from workbench.jobs.kinds import EvaluateSpec, FetchSpec

_SHOWN_CHARS = 300


@dataclass(frozen=True, slots=True)
class Scored:
    """One scored task."""

    columns: dict[str, float | int]
    """What goes into the table of scores."""
    record: dict[str, Any]
    """Every measure."""
    rows: pd.DataFrame
    """What the score is made of, worst first."""


@dataclass(frozen=True, slots=True)
class Step:
    """One task's turn in a job: its vectors and its progress."""

    context: JobContext
    model: Any
    name: str
    finished: int
    tasks: int

    def embed(self, texts: list[str]) -> CorpusVectors:
        """Return the vectors of these texts, from the cache where it has them."""
        return corpus_vectors(texts, self.model, cache=self.context.vectors, on_texts=self.encoded)

    def say(self, message: str) -> None:
        """Report what is being done."""
        self.context.progress(self.finished, self.tasks, f"{self.name}: {message}")

    def encoded(self, ready: int, total: int) -> None:
        """Report how many texts are encoded; a requested stop ends the task here."""
        self.say(f"encoded {ready:,} of {total:,} texts")
        self.context.stop_if_asked()  # the task is done again on resuming


def evaluate_retrieval_folder(context: JobContext, encoder: str, encoder_id: str, folder: Path) -> None:
    """Search every task of a folder in BEIR's layout."""
    model = load_encoder(encoder)

    def score(path: Path, step: Step) -> Scored:
        task = retrieval.read_retrieval(step.name, path)
        result = retrieval.evaluate_retrieval(task, CachedEncoder(model, context.vectors, step.encoded))
        columns = {"ndcg": result.score.ndcg_at_10, "pairs": result.score.queries}
        return Scored(columns, asdict(result.score) | {"split": task.split}, query_rows(task, result))

    _each_task(context, encoder_id, model, retrieval.find_retrieval(folder), "retrieval", score)


def evaluate_transfer_folder(context: JobContext, encoder: str, encoder_id: str, folder: Path) -> None:
    """Fit and test a classifier for every transfer task of a folder in SentEval's layout."""

    def score(path: Path, step: Step) -> Scored:
        task = transfer.read_transfer(step.name, path)
        vectors = step.embed(task.texts())
        step.say("fitting classifiers")
        result = transfer.evaluate_transfer(task, vectors)
        columns = {"accuracy": result.score.accuracy, "pairs": result.score.examples}
        record = asdict(result.score) | {"rejected": task.rejected}
        return Scored(columns, record, example_rows(task, result.predicted))

    _each_task(context, encoder_id, load_encoder(encoder), transfer.find_transfer(folder), "transfer", score)


def _each_task(
    context: JobContext,
    encoder_id: str,
    model: Any,
    found: dict[str, Path],
    kind: str,
    score: Callable[[Path, Step], Scored],
) -> None:
    """Score the tasks that the journal does not hold yet; their files are whole before their row is written."""
    done = context.done("scores", "task")
    for finished, (name, path) in enumerate(found.items()):
        if name in done:
            continue
        scored = score(path, Step(context, model, name, finished, len(found)))
        write_table(context.out / f"{kind}-{name}.parquet", scored.rows)
        write_json(context.out / f"{kind}-{name}.json", scored.record)
        row = {"table": "scores", "encoder_id": encoder_id, "task": name, "job_id": context.job_id}
        context.write([row | scored.columns])
        context.progress(finished + 1, len(found), f"Evaluated {name}")
        if context.stop_requested():
            return


def query_rows(task: retrieval.RetrievalTask, result: retrieval.RetrievalResult) -> pd.DataFrame:
    """Return one row per query: its measures, the top document, and one that should be on top; worst first."""
    rows = [
        {
            "query": task.queries[item.query_id],
            "ndcg": item.ndcg_at_10,
            "first_rank": item.first_rank,
            "found": _shown(task, item.found[0]) if item.found else "",
            "wanted": _shown(task, _most_relevant(task, item.query_id)),
        }
        for item in result.queries
    ]
    frame = pd.DataFrame(rows)
    frame["first_rank"] = frame["first_rank"].astype("Int64")
    return frame.sort_values("ndcg", kind="stable").reset_index(drop=True)


def example_rows(task: transfer.TransferTask, predicted: np.ndarray) -> pd.DataFrame:
    """Return one row per test example with its true and predicted class, the wrong ones first."""
    part = task.parts.get("all") or task.parts["test"]
    given, asked = ([task.classes[number] for number in numbers] for numbers in (predicted, part.label))
    frame = pd.DataFrame({"sentence1": part.first, "sentence2": part.second, "label": asked, "predicted": given})
    return frame.loc[(frame["label"] == frame["predicted"]).sort_values(kind="stable").index].reset_index(drop=True)


def _most_relevant(task: retrieval.RetrievalTask, query_id: str) -> str | None:
    grades = task.relevant[query_id]
    return max(grades, key=grades.__getitem__, default=None)


def _shown(task: retrieval.RetrievalTask, document_id: str | None) -> str:
    return "" if document_id is None else task.corpus.get(document_id, "(not in the corpus)")[:_SHOWN_CHARS]


NOTES_FILE = "notes.json"
Report = Callable[[int, int, str], None]
"""Takes tasks done, tasks in all, and what is being done."""


def run_evaluate(context: JobContext[EvaluateSpec]) -> None:
    """Evaluate the encoder of the spec on a folder of tasks, or on the held-out triplets of the job's input."""
    spec = context.spec
    if spec.sts_dir:
        evaluate_folder(context, spec.encoder, spec.encoder_id, Path(spec.sts_dir))
    elif spec.retrieval_dir:
        evaluate_retrieval_folder(context, spec.encoder, spec.encoder_id, Path(spec.retrieval_dir))
    elif spec.transfer_dir:
        evaluate_transfer_folder(context, spec.encoder, spec.encoder_id, Path(spec.transfer_dir))
    elif spec.mteb:
        evaluate_on_mteb(context, spec.encoder, spec.mteb)
    else:
        evaluate_held_out(context, spec.encoder, spec.encoder_id, held_out_of(context.input()))


def evaluate_on_mteb(context: JobContext, encoder: str, name: str) -> None:
    """Run a task or benchmark of mteb; its own results go to out/mteb/TASK.json, the main scores to out/mteb.json."""
    tasks = mteb_tasks.find_mteb(name)

    def on_task(done: int, total: int, task: str) -> None:
        context.progress(done, total, f"mteb: {task}")
        context.stop_if_asked()

    scores = mteb_tasks.evaluate_mteb(load_encoder(encoder), tasks, context.out / "mteb", on_task=on_task)
    write_json(context.out / "mteb.json", scores)
    context.progress(len(tasks), len(tasks), f"Evaluated {name}")


def evaluate_folder(
    context: JobContext, encoder: str, encoder_id: str, sts_dir: Path, *, report: Report | None = None
) -> None:
    """Score the tasks that the journal does not hold yet; predictions go to out/pairs-TASK.parquet.

    The vectors of all the folder's sentences are computed once per encoder and kept in the workspace. `report` takes
    the progress (tasks done, tasks, message) of a job that does more than this; its own progress by default.
    """
    report = report or context.progress
    tasks = [sts.read_task(name, path) for name, path in sts.find_tasks(sts_dir).items()]
    done = context.done("scores", "task")
    model = load_encoder(encoder)
    texts = [text for task in tasks for text in task.sentence1 + task.sentence2]

    def encoded(texts_done: int, texts_total: int) -> None:
        report(len(done), len(tasks), f"Encoded {texts_done:,} of {texts_total:,} sentences")
        context.stop_if_asked()

    vectors = corpus_vectors(texts, model, cache=context.vectors, on_texts=encoded)
    waiting = [task for task in tasks if task.name not in done]
    for finished, result in enumerate(benchmark.evaluate(model, waiting, vectors=vectors), start=len(done) + 1):
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


def keep_notes(context: JobContext, result: benchmark.TaskResult) -> None:
    """Add to out/notes.json why a task has no score and which of its lines could not be used."""
    path = context.out / NOTES_FILE
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    write_json(path, {kind: kept.get(kind, {}) | found for kind, found in benchmark.notes([result]).items()})


def keep_space(context: JobContext, encoder_id: str, tasks: list[sts.StsTask], vectors: CorpusVectors) -> None:
    """Write out/space.json: the shape of the space over the sentences of all tasks."""
    first, second = [], []
    for task in tasks:
        rows = np.flatnonzero(metrics.is_positive(task.gold))
        first += [task.sentence1[row] for row in rows]
        second += [task.sentence2[row] for row in rows]
    quality = metrics.space_quality(vectors.unit_ud, vectors(first), vectors(second), seed=0)
    record = {"encoder_id": encoder_id, "tasks": [task.name for task in tasks]} | quality.as_dict()
    write_json(context.out / "space.json", record)


def evaluate_held_out(
    context: JobContext, encoder: str, encoder_id: str, triplets: list[Triplet], *, report: Report | None = None
) -> None:
    """Score the share of triplets whose positive is nearer to the premise than the hard negative."""
    accuracy = benchmark.held_out_accuracy(CachedEncoder(load_encoder(encoder), context.vectors), triplets)
    score = {"encoder_id": encoder_id, "task": benchmark.HELD_OUT_TASK, "accuracy": accuracy, "pairs": len(triplets)}
    context.write([{"table": "scores", "job_id": context.job_id, **score}])
    (report or context.progress)(1, 1, f"Evaluated {benchmark.HELD_OUT_TASK}")


def held_out_of(frame: pd.DataFrame) -> list[Triplet]:
    """Return the held-out rows of a job's input."""
    return triplets_of(frame[frame["split"] == "held_out"])


def triplets_of(frame: pd.DataFrame) -> list[Triplet]:
    """Return the rows of a table as triplets, with a judge's scores where it has columns of them."""
    columns = ["premise", "positive", "hard_negative"]
    if {"a", "b"} <= set(frame.columns):
        return [ScoredTriplet(*row) for row in frame[[*columns, "a", "b"]].itertuples(index=False, name=None)]
    return [Triplet(*row) for row in frame[columns].itertuples(index=False, name=None)]


def keep_pairs(context: JobContext, result: benchmark.TaskResult) -> None:
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


def run_fetch(context: JobContext[FetchSpec]) -> None:
    """Fetch the tasks that are not there yet; unusable ones are named at the end and do not stop the others."""
    spec = context.spec
    folder, tasks = Path(spec.folder), spec.tasks
    fetch = hub_tasks.fetch_sts if spec.kind == "sts" else hub_tasks.fetch_retrieval
    failed: list[str] = []
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=context.out) as cache:
        for number, name in enumerate(tasks):
            context.progress(number, len(tasks), f"Fetching {name}")
            if context.stop_requested():
                return
            if name not in hub_tasks.fetched(folder):
                try:
                    fetch(name, folder, hub_tasks.hub_rows(Path(cache)))
                except UnreachableError:
                    raise  # the next task would wait for the same network
                except InputError as error:
                    failed.append(str(error))
    if len(failed) == len(tasks):
        raise InputError(failed[0])
    there = len(tasks) - len(failed)
    context.progress(len(tasks), len(tasks), " ".join([f"{there} of {len(tasks)} tasks are here.", *failed]))
