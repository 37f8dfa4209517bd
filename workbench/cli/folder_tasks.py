"""`evaluate` on a folder of retrieval or transfer tasks, with or without a workspace."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workbench.cli.access import access
from workbench.cli.output import print_table
from workbench.cli.watch import watch

KINDS = ("retrieval", "transfer")
_COLUMNS = {
    "retrieval": {
        "ndcg_at_10": "nDCG@10",
        "mrr_at_10": "MRR@10",
        "recall_at_10": "recall@10",
        "map_at_100": "MAP@100",
    },
    "transfer": {"accuracy": "accuracy", "majority": "most frequent class", "f1": "F1"},
}
_COUNTS = {"retrieval": ("queries", "documents"), "transfer": ("examples",)}


def scored(options: argparse.Namespace, kind: str) -> dict[str, Any]:
    """Score every task of the folder; a workspace keeps the scores."""
    folder: Path = getattr(options, f"{kind}_dir")
    tasks = in_workspace(options, kind, folder) if options.workspace else on_its_own(options.encoder, kind, folder)
    return {"encoder": options.encoder, kind: tasks}


def in_workspace(options: argparse.Namespace, kind: str, folder: Path) -> dict[str, Any]:
    """Score as a job; its folder holds all the measures."""
    from workbench.workspace import workspace_root

    root = workspace_root(options.workspace)
    with access(root) as call:
        started = call("start_evaluate", encoder=options.encoder, **{f"{kind}_dir": str(folder.resolve())})
        watch(call, started["job_id"], label="Evaluating")
    out = Path(root) / "jobs" / str(started["job_id"]) / "out"
    records = [json.loads(path.read_bytes()) for path in sorted(out.glob(f"{kind}-*.json"))]
    return {record["task"]: record for record in records}


def on_its_own(encoder: str, kind: str, folder: Path) -> dict[str, Any]:
    """Load the encoder in this process."""
    return (_search if kind == "retrieval" else _classify)(encoder, folder)


def _search(encoder: str, folder: Path) -> dict[str, Any]:
    from pipeline.evaluation.retrieval import evaluate_retrieval
    from pipeline.evaluation.retrieval_tasks import find_retrieval, read_retrieval

    found = find_retrieval(folder)
    from pipeline.training.encoders import load_encoder

    model = load_encoder(encoder)
    return {n: asdict(evaluate_retrieval(read_retrieval(n, path), model).score) for n, path in found.items()}


def _classify(encoder: str, folder: Path) -> dict[str, Any]:
    from pipeline.evaluation.transfer import evaluate_transfer
    from pipeline.evaluation.transfer_tasks import find_transfer, read_transfer
    from pipeline.vectors import corpus_vectors

    found = find_transfer(folder)
    from pipeline.training.encoders import load_encoder

    model = load_encoder(encoder)
    scores = {}
    for name, root in found.items():
        task = read_transfer(name, root)
        scores[name] = asdict(evaluate_transfer(task, corpus_vectors(task.texts(), model, cache=None)).score)
    return scores


def print_scores(answer: dict[str, Any], kind: str) -> None:
    """Print one row per task."""
    measures, counts = _COLUMNS[kind], _COUNTS[kind]
    rows = [
        (
            name,
            *("–" if task[key] is None else f"{100 * task[key]:.2f}" for key in measures),
            *(task[c] for c in counts),
        )
        for name, task in answer[kind].items()
    ]
    print_table(f"{answer['encoder']}, x100", ("task", *measures.values(), *counts), rows)
