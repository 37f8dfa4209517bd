"""`evaluate`: scores of an encoder, with or without a workspace."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from workbench.cli.access import access
from workbench.cli.output import print_line, print_table, write_json
from workbench.cli.watch import watch


def run(options: argparse.Namespace) -> None:
    """Evaluate in the named workspace, which keeps the scores, or without any."""
    if options.retrieval_dir:
        answer = retrieval_in_workspace(options) if options.workspace else retrieval_on_its_own(options)
        print_retrieval(answer)
    else:
        answer = in_workspace(options) if options.workspace else on_its_own(options)
        print_summary(answer)
    write_json(options.json, answer)


def on_its_own(options: argparse.Namespace) -> dict[str, Any]:
    """Load the encoder in this process and score every task of the folder."""
    from pipeline.evaluation.benchmark import evaluate, summary
    from pipeline.evaluation.sts import find_tasks, read_task

    tasks = find_tasks(options.sts_dir)
    from pipeline.training.encoders import load_encoder

    encoder = load_encoder(options.encoder)
    scores = []
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("Evaluating", total=len(tasks))
        for result in evaluate(encoder, [read_task(name, path) for name, path in tasks.items()]):
            scores.append(result.score)
            progress.update(bar, advance=1, description=f"Evaluated {result.score.task}")
    return {"encoder": options.encoder, **summary(scores)}


def in_workspace(options: argparse.Namespace) -> dict[str, Any]:
    """Evaluate as a job of the workspace."""
    from pipeline.evaluation.benchmark import summary
    from pipeline.records import EvalScore
    from workbench.workspace import workspace_root

    with access(workspace_root(options.workspace)) as call:
        started = call("start_evaluate", encoder=options.encoder, sts_dir=str(options.sts_dir.resolve()))
        watch(call, started["job_id"], label="Evaluating")
        rows = [row for row in call("scores")["scores"] if row["encoder_id"] == started["encoder_id"]]
    return {"encoder": options.encoder, **summary([EvalScore(r["task"], r["spearman"], r["pairs"]) for r in rows])}


def retrieval_on_its_own(options: argparse.Namespace) -> dict[str, Any]:
    """Load the encoder in this process and search every task of the folder."""
    from pipeline.evaluation.retrieval import evaluate_retrieval
    from pipeline.evaluation.retrieval_tasks import find_retrieval, read_retrieval

    found = find_retrieval(options.retrieval_dir)
    from pipeline.training.encoders import load_encoder

    encoder = load_encoder(options.encoder)
    tasks = {name: asdict(evaluate_retrieval(read_retrieval(name, path), encoder)) for name, path in found.items()}
    return {"encoder": options.encoder, "retrieval": tasks}


def retrieval_in_workspace(options: argparse.Namespace) -> dict[str, Any]:
    """Search as a job of the workspace, which keeps nDCG; its folder holds the other measures."""
    from workbench.workspace import workspace_root

    root = workspace_root(options.workspace)
    with access(root) as call:
        started = call("start_evaluate", encoder=options.encoder, retrieval_dir=str(options.retrieval_dir.resolve()))
        watch(call, started["job_id"], label="Evaluating")
    records = [json.loads(path.read_bytes()) for path in sorted(job_out(root, started).glob("retrieval-*.json"))]
    return {"encoder": options.encoder, "retrieval": {record["task"]: record for record in records}}


def job_out(root: Path, started: dict[str, Any]) -> Path:
    """Return the folder that a job writes its files into."""
    return Path(root) / "jobs" / str(started["job_id"]) / "out"


def print_retrieval(answer: dict[str, Any]) -> None:
    """Print one row per retrieval task."""
    measures = ("ndcg_at_10", "mrr_at_10", "recall_at_10", "map_at_100")
    rows = [
        (name, *(f"{100 * task[measure]:.2f}" for measure in measures), task["queries"], task["documents"])
        for name, task in answer["retrieval"].items()
    ]
    head = ("task", "nDCG@10", "MRR@10", "recall@10", "MAP@100", "queries", "documents")
    print_table(f"{answer['encoder']}, x100", head, rows)


def print_summary(answer: dict[str, Any]) -> None:
    """Print one row per task and say what the average is over."""
    rows = [(name, f"{task['spearman']:.2f}", task["pairs"]) for name, task in answer["tasks"].items()]
    print_table(f"{answer['encoder']}, Spearman x100", ("task", "score", "pairs"), rows)
    average = "-" if answer["average"] is None else f"{answer['average']:.2f}"
    missing = ", ".join(answer["missing"]) or "none"
    print_line(f"average {average} over {len(answer['averaged_over'])} tasks; missing: {missing}")
