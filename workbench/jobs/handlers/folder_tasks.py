"""Retrieval and transfer tasks of a folder: a score per task, all measures and the rows behind them in out/."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.durable import write_json, write_table
from pipeline.evaluation.retrieval import RetrievalResult, evaluate_retrieval
from pipeline.evaluation.retrieval_tasks import RetrievalTask, find_retrieval, read_retrieval
from pipeline.evaluation.transfer import evaluate_transfer
from pipeline.evaluation.transfer_tasks import TransferTask, find_transfer, read_transfer
from pipeline.training.encoders import load_encoder
from pipeline.vectors import CachedEncoder, CorpusVectors, corpus_vectors
from workbench.jobs.context import JobContext

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
        """Compute the vectors of these texts, or find them kept."""
        return corpus_vectors(texts, self.model, cache=self.context.vectors, on_texts=self.encoded)

    def say(self, message: str) -> None:
        """Report what is being done."""
        self.context.progress(self.finished, self.tasks, f"{self.name}: {message}")

    def encoded(self, ready: int, total: int) -> None:
        """Report how many texts are encoded; a stop that was asked for ends the task here."""
        self.say(f"encoded {ready:,} of {total:,} texts")
        self.context.stop_if_asked()  # the task is done again on resuming


def evaluate_retrieval_folder(context: JobContext, encoder: str, encoder_id: str, folder: Path) -> None:
    """Search every task of a folder in BEIR's layout."""
    model = load_encoder(encoder)

    def score(path: Path, step: Step) -> Scored:
        task = read_retrieval(step.name, path)
        result = evaluate_retrieval(task, CachedEncoder(model, context.vectors, step.encoded))
        columns = {"ndcg": result.score.ndcg_at_10, "pairs": result.score.queries}
        return Scored(columns, asdict(result.score) | {"split": task.split}, query_rows(task, result))

    _each_task(context, encoder_id, model, find_retrieval(folder), "retrieval", score)


def evaluate_transfer_folder(context: JobContext, encoder: str, encoder_id: str, folder: Path) -> None:
    """Fit and test a classifier for every transfer task of a folder in SentEval's layout."""

    def score(path: Path, step: Step) -> Scored:
        task = read_transfer(step.name, path)
        vectors = step.embed(task.texts())
        step.say("fitting classifiers")
        result = evaluate_transfer(task, vectors)
        columns = {"accuracy": result.score.accuracy, "pairs": result.score.examples}
        record = asdict(result.score) | {"rejected": task.rejected}
        return Scored(columns, record, example_rows(task, result.predicted))

    _each_task(context, encoder_id, load_encoder(encoder), find_transfer(folder), "transfer", score)


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


def query_rows(task: RetrievalTask, result: RetrievalResult) -> pd.DataFrame:
    """One row per query: its measures, the document found first, and one that should have been; worst first."""
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


def example_rows(task: TransferTask, predicted: np.ndarray) -> pd.DataFrame:
    """One row per tested example with its class and the one it was given; the wrong ones first."""
    part = task.parts.get("all") or task.parts["test"]
    given, asked = ([task.classes[number] for number in numbers] for numbers in (predicted, part.label))
    frame = pd.DataFrame({"sentence1": part.first, "sentence2": part.second, "label": asked, "predicted": given})
    return frame.loc[(frame["label"] == frame["predicted"]).sort_values(kind="stable").index].reset_index(drop=True)


def _most_relevant(task: RetrievalTask, query_id: str) -> str | None:
    grades = task.relevant[query_id]
    return max(grades, key=grades.__getitem__, default=None)


def _shown(task: RetrievalTask, document_id: str | None) -> str:
    return "" if document_id is None else task.corpus.get(document_id, "(not in the corpus)")[:_SHOWN_CHARS]
