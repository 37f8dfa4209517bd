"""A workspace with something at every stage, made through the store's own doors and without any model."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.config import CurationRule
from pipeline.records import text_id
from workbench.jobs.folder import JobFolder, JobRecord, Status
from workbench.journal import Journal
from workbench.workspace import Workspace

TRIPLETS = 12
TASKS = {"STSB-test": 0.8, "SICKR-test": 0.7}
JUDGE = "guide:all-MiniLM-L6-v2"
TRICKY = (
    "A <b>bold</b> :red[claim] costs $5 or `more` *now* [here](http://127.0.0.1/x) on www.example.com "
    "by me@example.com :material/home: :smile: -> <img src=x onerror=alert(1)>"
)
"""First premise: a page that parses it as anything but text is wrong."""


def finished_job(
    workspace: Workspace,
    job_id: str,
    kind: str,
    rows: list[dict],
    *,
    total: int,
    settings: dict | None = None,
    title: str = "",
) -> JobFolder:
    """Leave a job folder behind as a finished worker would, journal included; the ingester does the rest."""
    folder = JobFolder(workspace.root / "jobs" / job_id)
    moment = "2026-01-01T00:00:00.000+00:00"
    named = {"job_id": job_id, "kind": kind, "title": title or f"{kind} title", "created_at": moment}
    folder.create(
        JobRecord.from_json(named | {"settings": settings or {}}),
        Status("finished", total, total, 2.0, None, "", moment, moment, "2026-01-01T00:01:00.000+00:00"),
    )
    journal = Journal(folder.journal)
    journal.append(rows)
    journal.close()
    return folder


def fill_many(workspace: Workspace, triplets: int) -> dict[str, str]:
    """Fill it as a long generation and a judge of spread scores would; the map and the snapshot have up to 5,000."""
    drawn = np.random.default_rng(0).normal((3.8, 2.4), (0.9, 1.1), (triplets, 2)).clip(0, 5).tolist()
    scores = [{"a_raw": a, "b_raw": b, "a": a, "b": b} for a, b in drawn]
    return fill(workspace, triplets=triplets, kept_rows=min(5_000, triplets), scores=scores)


def fill(
    workspace: Workspace, *, triplets: int = TRIPLETS, kept_rows: int = 8, scores: Sequence[dict] = ()
) -> dict[str, str]:
    """Fill every stage; return the ids a test may ask for.

    scores: what the judge gave each triplet; by default `judgement_row`'s.
    """
    premises = [TRICKY, *(f"Premise number {i} waits by the river." for i in range(1, triplets))]
    frame = pd.DataFrame({"premise_id": [text_id(text) for text in premises], "text": premises})
    corpus = workspace.store.premises.add_corpus("river", "river.txt", frame, {"empty": 1}, 2)
    attempt_id = "20260101-000000-000-generate-aaaa"
    rows = [triplet_row(attempt_id, number, text, of=triplets) for number, text in enumerate(premises)]
    finished_job(workspace, attempt_id, "generate", rows, total=triplets)
    judgements = [judgement_row(row["triplet_id"], number) for number, row in enumerate(rows)]
    for row, given in zip(judgements, scores, strict=False):
        row |= given
    settings = {"attempt_ids": [attempt_id]}
    judge_id = "20260101-000100-000-judge-bbbb"
    finished_job(workspace, judge_id, "judge", judgements, total=triplets, settings=settings)
    rule = CurationRule()
    kept = pd.DataFrame(rows)[["triplet_id", "premise", "positive", "hard_negative"]].head(kept_rows)
    snapshot = workspace.store.snapshots.create("first", [attempt_id], JUDGE, asdict(rule), kept)
    run_id = train(workspace, snapshot.snapshot_id)
    for encoder_id in (run_id, "static-minilm"):
        evaluate(workspace, encoder_id)
    projection_id = project(workspace, kept, snapshot.snapshot_id)
    for job in workspace.jobs.list():
        workspace.wait(job.job_id, timeout_s=20 + triplets / 500)
    return {
        "corpus": corpus.corpus_id,
        "attempt": attempt_id,
        "snapshot": snapshot.snapshot_id,
        "run": run_id,
        "map": projection_id,
    }


def triplet_row(attempt_id: str, number: int, premise: str, *, of: int = TRIPLETS) -> dict:
    """A journal row; the last two triplets lack a usable side."""
    copied, refused = number == of - 1, number == of - 2
    return {
        "table": "triplets",
        "triplet_id": f"{attempt_id}-{number:02d}",
        "attempt_id": attempt_id,
        "premise_id": text_id(premise),
        "premise": premise,
        "positive": premise if copied else f"By the river waits number {number}.",
        "hard_negative": "" if refused else f"Nothing ever waits for {number}.",
        "positive_raw": "",
        "hard_negative_raw": "",
        "positive_outcome": "copy" if copied else "ok",
        "hard_negative_outcome": "refused" if refused else "ok",
        "contrast": "token",
        "omega": 0.6,
        "seed": 0,
        "llm": "smollm2-135m",
        "prompt_set": "default",
        "tokens": 20,
        "origin": "",
    }


def judgement_row(triplet_id: str, number: int) -> dict:
    """Scores that step over the rule's borders: a = 0, 0.5, 1 ..., b = 5, 4.5, 4 ..."""
    a, b = min(5.0, 0.5 * number), max(0.0, 5 - 0.5 * number)
    scores = {"a_raw": a, "b_raw": b, "a": a, "b": b}
    return {"table": "judgements", "triplet_id": triplet_id, "judge_id": JUDGE, "calibration": "test"} | scores


def train(workspace: Workspace, snapshot_id: str) -> str:
    """A finished run of 20 steps."""
    run_id = "20260101-000200-000-train-cccc"
    rows = [
        {
            "table": "train_steps",
            "run_id": run_id,
            "step": step,
            "steps": 20,
            "loss": 3.0 / step,
            "learning_rate": 0.01,
            "masked_share": 0.02,
            "triplets_per_s": 100.0,
            "dev_score": 0.5 + step / 100 if step % 10 == 0 else None,
        }
        for step in range(1, 21)
    ]
    encoder = {"encoder_id": run_id, "name": "river encoder", "folder": "out", "run_id": run_id}
    rows.append({"table": "encoders", **encoder, "snapshot_id": snapshot_id, "base": "static-minilm"})
    settings = {
        "config": {"encoder": "static-minilm", "steps": 20, "batch_size": 4, "seed": 3},
        "snapshot_id": snapshot_id,
    }
    finished_job(workspace, run_id, "train", rows, total=20, settings=settings)
    return run_id


def evaluate(workspace: Workspace, encoder_id: str) -> None:
    """Scores with the predictions behind them; the untrained encoder lacks the second task."""
    is_trained = encoder_id != "static-minilm"
    tasks = list(TASKS) if is_trained else list(TASKS)[:1]
    job_id = f"20260101-00030{int(is_trained)}-000-evaluate-dddd"
    rows = [
        {
            "table": "scores",
            "encoder_id": encoder_id,
            "task": task,
            "spearman": TASKS[task] - (0.0 if is_trained else 0.2),
            "pairs": 30,
            "job_id": job_id,
        }
        for task in tasks
    ]
    folder = finished_job(workspace, job_id, "evaluate", rows, total=len(tasks))
    for task in tasks:
        pairs(seed=len(task)).to_parquet(folder.out / f"pairs-{task}.parquet", index=False)


def pairs(seed: int) -> pd.DataFrame:
    """Thirty scored pairs."""
    generator = np.random.default_rng(seed)
    gold = generator.uniform(0, 5, 30)
    return pd.DataFrame(
        {
            "sentence1": [f"A cat sits on mat {i}." for i in range(30)],
            "sentence2": [f"A dog lies on mat {i}." for i in range(30)],
            "subset": "made",
            "gold": gold,
            "predicted": gold / 5 + generator.normal(0, 0.2, 30),
        }
    )


def project(workspace: Workspace, kept: pd.DataFrame, corpus: str) -> str:
    """A map of the kept triplets."""
    projection_id = "20260101-000400-000-project-eeee"
    parts = [
        pd.DataFrame(
            {"triplet_id": kept["triplet_id"], "role": role, "text": kept[role], "x": place, "y": kept.index}
        )
        for place, role in enumerate(("premise", "positive", "hard_negative"))
    ]
    path = Path(workspace.root / "jobs" / projection_id / "out" / "points.parquet")
    row = {
        "table": "projections",
        "projection_id": projection_id,
        "encoder_id": "static-minilm",
        "corpus": corpus,
        "method": "pca",
        "path": str(path),
        "trustworthiness": 0.95,
        "neighbour_recall": 0.4,
        "points": 3 * len(kept),
    }
    finished_job(workspace, projection_id, "project", [row], total=3)
    pd.concat(parts).to_parquet(path, index=False)
    return projection_id
