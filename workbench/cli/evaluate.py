"""`evaluate`: scores of an encoder, with or without a workspace."""

import argparse
import json
from typing import Any

from rich.console import Console
from rich.progress import Progress

from workbench.cli import folder_tasks
from workbench.cli.access import access
from workbench.cli.folder_tasks import KINDS
from workbench.cli.output import print_line, print_table, write_json
from workbench.cli.watch import watch


def run(options: argparse.Namespace) -> None:
    """Evaluate in the named workspace, which keeps the scores, or without any."""
    kind = next((kind for kind in KINDS if getattr(options, f"{kind}_dir")), None)
    if kind:
        answer = folder_tasks.scored(options, kind)
        folder_tasks.print_scores(answer, kind)
    else:
        answer = in_workspace(options) if options.workspace else on_its_own(options)
        print_summary(answer)
    write_json(options.json, answer)


def on_its_own(options: argparse.Namespace) -> dict[str, Any]:
    """Load the encoder in this process and score every task of the folder."""
    from pipeline.evaluation.benchmark import evaluate, notes, summary
    from pipeline.evaluation.sts import find_tasks, read_task

    tasks = find_tasks(options.sts_dir)
    from pipeline.training.encoders import load_encoder

    encoder = load_encoder(options.encoder)
    results = []
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("Evaluating", total=len(tasks))
        for result in evaluate(encoder, [read_task(name, path) for name, path in tasks.items()]):
            results.append(result)
            progress.update(bar, advance=1, description=f"Evaluated {result.score.task}")
    return {"encoder": options.encoder, **summary(result.score for result in results), **notes(results)}


def in_workspace(options: argparse.Namespace) -> dict[str, Any]:
    """Evaluate as a job of the workspace."""
    from pipeline.evaluation.benchmark import summary
    from pipeline.records import EvalScore
    from workbench.workspace import workspace_root

    root = workspace_root(options.workspace)
    with access(root) as call:
        started = call("start_evaluate", encoder=options.encoder, sts_dir=str(options.sts_dir.resolve()))
        watch(call, started["job_id"], label="Evaluating")
        rows = [row for row in call("scores")["scores"] if row["encoder_id"] == started["encoder_id"]]
    path = root / "jobs" / str(started["job_id"]) / "out" / "notes.json"
    left_out = json.loads(path.read_bytes()) if path.exists() else {"undefined": {}, "rejected": {}}
    scores = [EvalScore(r["task"], r["spearman"], r["pairs"]) for r in rows if r["task"] not in left_out["undefined"]]
    scores += [EvalScore(task, float("nan"), 0) for task in left_out["undefined"]]
    return {"encoder": options.encoder, **summary(scores), **left_out}


def print_summary(answer: dict[str, Any]) -> None:
    """Print one row per task and say what the average is over."""
    rows = [(name, f"{task['spearman']:.2f}", task["pairs"]) for name, task in answer["tasks"].items()]
    print_table(f"{answer['encoder']}, Spearman x100", ("task", "score", "pairs"), rows)
    average = "-" if answer["average"] is None else f"{answer['average']:.2f}"
    undefined = answer["undefined"]
    missing = ", ".join(
        name if name not in undefined else f"{name} ({undefined[name]})" for name in answer["missing"]
    )
    print_line(f"average {average} over {len(answer['averaged_over'])} tasks; missing: {missing or 'none'}")
    for task, lines in answer["rejected"].items():
        first = lines[0]
        print_line(f"{task}: {len(lines)} lines left out, the first is line {first['line']} ({first['reason']})")
