"""`evaluate`, with or without a workspace, and `fetch` for tasks on the hub."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

import pipeline
from pipeline.durable import write_text
from pipeline.evaluation import benchmark, retrieval, sts, transfer
from pipeline.records import EvalScore, InputError
from pipeline.statistics import Interval
from workbench.cli.main import Answer, access, ask, print_line, print_table, watch, write_json
from workbench.workspace import workspace_root

KINDS = ("retrieval", "transfer")
_SLICES = 10
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


def scored(options: argparse.Namespace, kind: str) -> Answer:
    """Score every task of the folder; a workspace keeps the scores."""
    folder: Path = getattr(options, f"{kind}_dir")
    if options.workspace:
        tasks = folder_tasks_in_workspace(options, kind, folder)
    else:
        tasks = (_search if kind == "retrieval" else _classify)(options.encoder, folder)
    return {"encoder": options.encoder, kind: tasks}


def folder_tasks_in_workspace(options: argparse.Namespace, kind: str, folder: Path) -> dict[str, Any]:
    """Score as a job; its folder holds all the measures."""
    root = workspace_root(options.workspace)
    with access(root) as call:
        started = call("start_evaluate", encoder=options.encoder, **{f"{kind}_dir": str(folder.resolve())})
        watch(call, started["job_id"], label="Evaluating")
    out = Path(root) / "jobs" / str(started["job_id"]) / "out"
    records = [json.loads(path.read_bytes()) for path in sorted(out.glob(f"{kind}-*.json"))]
    return {record["task"]: record for record in records}


def _search(encoder: str, folder: Path) -> dict[str, Any]:
    found = retrieval.find_retrieval(folder)
    model = pipeline.load_encoder(encoder)
    return {
        n: asdict(retrieval.evaluate_retrieval(retrieval.read_retrieval(n, path), model).score)
        for n, path in found.items()
    }


def _classify(encoder: str, folder: Path) -> dict[str, Any]:
    from pipeline.vectors import corpus_vectors

    found = transfer.find_transfer(folder)
    model = pipeline.load_encoder(encoder)
    scores = {}
    for name, root in found.items():
        task = transfer.read_transfer(name, root)
        scores[name] = asdict(transfer.evaluate_transfer(task, corpus_vectors(task.texts(), model, cache=None)).score)
    return scores


def print_scores(answer: Answer, kind: str) -> None:
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


def run_evaluate(options: argparse.Namespace) -> None:
    """Evaluate in the named workspace, which keeps the scores, or without one."""
    kind = next((kind for kind in KINDS if getattr(options, f"{kind}_dir")), None)
    if options.mteb:
        answer = on_mteb(options)
    elif kind:
        answer = scored(options, kind)
        print_scores(answer, kind)
    else:
        answer = in_workspace(options) if options.workspace else on_its_own(options)
        print_summary(answer)
    write_json(options.json, answer)


def on_mteb(options: argparse.Namespace) -> Answer:
    """Run a task or benchmark of mteb as a job; return the main scores and the folder of mteb's own files."""
    with access(options) as call:
        started = call("start_evaluate", encoder=options.encoder, mteb=options.mteb)
        watch(call, started["job_id"], label="Evaluating")
    out = workspace_root(options.workspace) / "jobs" / str(started["job_id"]) / "out"
    scores = json.loads((out / "mteb.json").read_bytes())
    rows = [(task, f"{score:.4f}") for task, score in scores.items()]
    print_table(f"{options.encoder}, mteb's main scores", ("task", "score"), rows)
    print_line(f"mteb's own results: {out / 'mteb'}")
    return {"encoder": options.encoder, "mteb": scores, "folder": str(out / "mteb")}


def on_its_own(options: argparse.Namespace) -> Answer:
    """Load the encoder in this process and score every task of the folder."""
    tasks = sts.find_tasks(options.sts_dir)
    encoder = pipeline.load_encoder(options.encoder)
    results = []
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("Evaluating", total=len(tasks))
        for result in benchmark.evaluate(encoder, [sts.read_task(name, path) for name, path in tasks.items()]):
            results.append(result)
            progress.update(bar, advance=1, description=f"Evaluated {result.score.task}")
    return {
        "encoder": options.encoder,
        **benchmark.summary(result.score for result in results),
        **benchmark.notes(results),
    }


def in_workspace(options: argparse.Namespace) -> Answer:
    """Evaluate as a job of the workspace."""
    root = workspace_root(options.workspace)
    with access(root) as call:
        started = call("start_evaluate", encoder=options.encoder, sts_dir=str(options.sts_dir.resolve()))
        watch(call, started["job_id"], label="Evaluating")
        rows = [row for row in call("scores")["scores"] if row["encoder_id"] == started["encoder_id"]]
    path = root / "jobs" / str(started["job_id"]) / "out" / "notes.json"
    left_out = json.loads(path.read_bytes()) if path.exists() else {"undefined": {}, "rejected": {}}
    scores = [EvalScore(r["task"], r["spearman"], r["pairs"]) for r in rows if r["task"] not in left_out["undefined"]]
    scores += [EvalScore(task, float("nan"), 0) for task in left_out["undefined"]]
    return {"encoder": options.encoder, **benchmark.summary(scores), **left_out}


def print_summary(answer: Answer) -> None:
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


def fetch(options: argparse.Namespace) -> None:
    """Fetch tasks and print their folder."""
    with access(options) as call:
        started = call("start_fetch", kind=options.kind, tasks=options.task)
        job = watch(call, started["job_id"], label="Fetching")
    print_line(f"{job['message']} They are in {started['folder']}.")
    write_json(options.json, started | {"message": job["message"]})


def show_scores(options: argparse.Namespace) -> None:
    """Print the scores of all encoders, or those of one with their intervals."""
    if not options.encoder:
        answer = ask(options, "scores")
        columns = ("encoder_id", "task", "spearman", "pairs")
        cells = [[row[name] for name in columns] for row in answer["scores"]]
        rows: list[tuple[Any, ...]] = [(*names, f"{100 * score:.2f}", pairs) for *names, score, pairs in cells]
        print_table("Spearman x100", ("encoder", "task", "score", "pairs"), rows)
        write_json(options.json, answer)
        return
    answer = ask(options, "score_intervals", encoder=options.encoder, against=options.against)
    gains = answer["gains"]
    scored = answer["tasks"].items()
    words = {task: f"{_interval(gain)}, {gain['verdict']}" for task, gain in gains.items()}
    rows = [(task, _interval(score), words.get(task)) for task, score in scored]
    if "held_out" in answer:
        rows.append(("held-out triplets", _interval(answer["held_out"]), None))
    print_table(f"{options.encoder}, x100, with 95 % intervals", ("task", "score", "gain"), rows)
    if answer["left_out"]:
        print_line(f"Left out, because predictions are gone or pairs differ: {', '.join(answer['left_out'])}")
    write_json(options.json, answer)


def _interval(found: Answer) -> str:
    return Interval(*(100 * found[name] for name in ("value", "low", "high"))).words(".2f")


def show_slices(options: argparse.Namespace) -> None:
    """Print what costs an encoder most on a task, and write the sentences of the worst slice for a new corpus."""
    answer = ask(
        options, "worst_slices", encoder=options.encoder, task=options.task, slices=1000, pairs=options.pairs
    )
    titles = [row["title"] for row in answer["slices"]]
    if options.slice and options.slice not in titles:
        raise InputError(f"{options.task} has no slice {options.slice!r}; it has {', '.join(titles) or 'none'}.")
    chosen = [row for row in answer["slices"] if options.slice in (None, row["title"])][:_SLICES]
    rows = [(row["title"], row["pairs"], _interval(row["difference"]), f"{100 * row['cost']:+.2f}") for row in chosen]
    print_table(f"{options.encoder} on {options.task}, x100", ("slice", "pairs", "to the rest", "costs"), rows)
    for row in chosen[:1]:
        shown = [(pair["sentence1"], pair["sentence2"], f"{pair['error']:+.2f}") for pair in row["worst"]]
        print_table(f"Worst pairs of: {row['title']}", ("sentence 1", "sentence 2", "rank error"), shown)
        if options.premises:
            texts = dict.fromkeys(pair[side] for pair in row["worst"] for side in ("sentence1", "sentence2"))
            write_text(options.premises, "".join(f"{' '.join(text.split())}\n" for text in texts))
    write_json(options.json, answer | {"slices": chosen})
