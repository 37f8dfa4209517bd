"""Evaluation of encoders: on folders of tasks, on held-out triplets, on tasks made from your own pairs."""

import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.evaluation import benchmark, hub_tasks, mteb_tasks, own_pairs, retrieval, sts, transfer
from pipeline.files.rows import LISTED_ROWS
from pipeline.records import InputError
from pipeline.statistics import AVERAGE, Interval, holm, resample, share
from workbench.actions.call import Answer, action, guarded
from workbench.actions.models import find_encoder
from workbench.jobs.kinds import EvaluateSpec, FetchSpec
from workbench.results import linked_pairs, same_pairs
from workbench.store.snapshots import Snapshot
from workbench.workspace import Workspace


def checked_folder(sts_dir: str) -> Path:
    """Return the absolute folder of STS tasks. Raises InputError when it is missing or holds no task."""
    folder = Path(sts_dir).expanduser().resolve()
    sts.find_tasks(folder)
    return folder


@action
def start_evaluate(
    workspace: Workspace,
    *,
    encoder: str,
    sts_dir: str | None = None,
    retrieval_dir: str | None = None,
    transfer_dir: str | None = None,
    held_out: str | None = None,
    mteb: str | None = None,
    title: str = "",
) -> Answer:
    """Queue the evaluation of an encoder.

    It runs on a folder of STS tasks, of retrieval tasks in BEIR's layout, of SentEval's transfer tasks, on the
    held-out triplets of a snapshot, or on a task or benchmark of mteb, whose data come from the hub.
    """
    found = find_encoder(workspace, encoder)
    spec = EvaluateSpec(found.folder, found.encoder_id)
    if sts_dir:
        spec = replace(spec, sts_dir=str(checked_folder(sts_dir)))
        frame, where = None, Path(sts_dir).name
    elif retrieval_dir or transfer_dir:
        folder = Path(str(retrieval_dir or transfer_dir)).expanduser().resolve()
        (retrieval.find_retrieval if retrieval_dir else transfer.find_transfer)(folder)
        spec = replace(spec, **{"retrieval_dir" if retrieval_dir else "transfer_dir": str(folder)})
        frame, where = None, folder.name
    elif held_out:
        frame, where = held_out_rows(workspace, held_out), "held-out triplets"
    elif mteb:
        if find_spec("mteb") is None:
            raise InputError(mteb_tasks.ADVICE)
        spec = replace(spec, mteb=mteb)
        frame, where = None, mteb
    else:
        raise InputError(
            "An evaluation needs a folder of STS, retrieval or transfer tasks, or a snapshot to hold triplets out of."
        )
    job_id = workspace.jobs.submit(spec, frame, title=title or f"{encoder} on {where}")
    return {"job_id": job_id, "encoder_id": found.encoder_id}


@action
def score_intervals(workspace: Workspace, *, encoder: str, against: str | None = None) -> Answer:
    """Return an encoder's Spearman on each task with its 95 % interval, and the gain over the encoder `against`.

    Intervals come from resampling groups of pairs that share sentences, the same ones for both encoders; what another
    training seed or another corpus would change is not in them. Verdicts take the tasks together (Holm), the
    average by itself. All values are fractions; `average` is the mean of the tasks. Tasks whose predictions are gone,
    or whose pairs differ, are left out. The accuracy on held-out triplets has Wilson's interval.
    """
    encoder_id, other_id = (scored_encoder(workspace, name) if name else "" for name in (encoder, against))
    scores = workspace.store.scores.matrix()
    gold: dict[str, np.ndarray | None] = {}
    linked: dict[str, np.ndarray] = {}
    predicted: dict[str, dict[str, np.ndarray]] = {key: {} for key in (encoder_id, other_id) if key}
    left_out = []
    for task in scores[scores["encoder_id"] == encoder_id]["task"]:
        try:
            tables = {key: scored_pairs(workspace, encoder_id=key, task=task) for key in predicted}
        except InputError:
            left_out.append(task)
            continue
        if other_id and not same_pairs(tables[encoder_id], tables[other_id]):
            left_out.append(task)
            continue
        gold[task] = tables[encoder_id]["gold"].to_numpy()
        linked[task] = linked_pairs(tables[encoder_id])
        for key, table in tables.items():
            predicted[key][task] = table["predicted"].to_numpy()
    answer: Answer = {"encoder_id": encoder_id, "left_out": left_out, "tasks": {}, "gains": {}}
    if gold:
        drawn = resample({key: [cell] for key, cell in predicted.items()}, gold, linked=linked)
        own, samples = drawn.scores[encoder_id], drawn.values[encoder_id]
        answer["tasks"] = {task: Interval.of(own[task][0], samples[task]).ends() for task in own}
        if other_id:
            gains = drawn.difference([encoder_id], [other_id])
            average = {AVERAGE: gains.pop(AVERAGE)}
            gains = dict(zip(gains, holm(list(gains.values())), strict=True)) | average
            answer["gains"] = {task: asdict(gain) | {"verdict": gain.verdict} for task, gain in gains.items()}
    held_out = workspace.store.scores.held_out().set_index("encoder_id")
    if encoder_id in held_out.index:
        answer["held_out"] = _accuracy(*held_out.loc[encoder_id, ["accuracy", "triplets"]])
    return answer


def _accuracy(accuracy: float, triplets: float) -> dict[str, float]:
    return share(round(accuracy * triplets), int(triplets)).ends() | {"triplets": int(triplets)}


def scored_encoder(workspace: Workspace, encoder: str) -> str:
    """Return the id of an encoder with scores by its id, name or folder; one without weights has scores, too."""
    names = {stored.name: stored.encoder_id for stored in workspace.store.encoders.list()}
    table = workspace.store.scores
    known = dict.fromkeys([*table.matrix()["encoder_id"], *table.held_out()["encoder_id"]])
    wanted = encoder if encoder in known else names.get(encoder, encoder)
    if wanted not in known:
        shown = ", ".join(known) or "none yet"
        raise InputError(f"The encoder {encoder!r} has no scores (there are scores of {shown}): evaluate it first.")
    return wanted


def scored_pairs(workspace: Workspace, *, encoder_id: str, task: str) -> pd.DataFrame:
    """Return sentence1, sentence2, subset, gold, predicted and error of a task's pairs.

    The error is the predicted rank minus the gold rank, both as a share of all pairs. Raises InputError when the
    encoder has no score on the task, or its predictions are gone.
    """
    scores = workspace.store.scores.matrix()
    found = scores[(scores["encoder_id"] == encoder_id) & (scores["task"] == task)]
    path = Path()
    if len(found):
        path = workspace.jobs.output(found.iloc[0]["job_id"], f"pairs-{task}.parquet")
    if not path.is_file():
        raise InputError(f"{encoder_id} has no predictions on {task}: evaluate it on the task first.")
    pairs = pd.read_parquet(path)
    return pairs.assign(error=pairs["predicted"].rank(pct=True) - pairs["gold"].rank(pct=True))


@action
def import_pairs(
    workspace: Workspace,
    *,
    path: str,
    first: str,
    second: str,
    score: str,
    name: str | None = None,
    encoding: str | None = None,
) -> Answer:
    """Make a task from a file of pairs (csv, tsv, jsonl, parquet); the answer names the folder to evaluate."""
    source = Path(path).expanduser()
    task = name or source.stem
    return keep_pairs(workspace, source, source.name, first, second, score, name=task, encoding=encoding or "")


@guarded
def keep_pairs(
    workspace: Workspace,
    content: Path | bytes,
    filename: str,
    first: str,
    second: str,
    score: str,
    *,
    name: str,
    encoding: str = "",
) -> Answer:
    """Keep scored pairs as a task file of the workspace; a task of the same name is replaced.

    The answer lists the first rejected rows, each with line and reason.
    """
    if (
        not re.fullmatch(r"[\w][\w .-]{0,60}", name)
        or name in sts.STANDARD_TASKS
        or name.endswith(("-train", "-dev"))
    ):
        raise InputError(
            f"A task cannot be called {name[:60]!r}: use letters, digits, spaces, - and ., and no known task's name."
        )
    read = own_pairs.read_pairs(content, name=filename, first=first, second=second, score=score, encoding=encoding)
    folder = own_pairs_folder(workspace.root)
    folder.mkdir(parents=True, exist_ok=True)
    own_pairs.write_task(read.pairs, folder / f"{name}.tsv")
    return {
        "task": name,
        "folder": str(folder),
        "pairs": len(read.pairs),
        "rejected": len(read.rejected),
        "rejected_rows": [row.as_dict() for row in read.rejected[:LISTED_ROWS]],
    }


def own_pairs_folder(root: Path) -> Path:
    """Return the folder of the tasks made from your own pairs."""
    return root / "pairs"


@action
def start_fetch(workspace: Workspace, *, kind: str, tasks: list[str] | None = None) -> Answer:
    """Queue the download of tasks from the hub into this workspace: kind sts or retrieval, by default all of them."""
    if kind not in hub_tasks.ON_HUB:
        raise InputError(f"There is no kind of task {kind!r} to fetch; choose sts or retrieval.")
    unknown = [name for name in tasks or [] if name not in hub_tasks.ON_HUB[kind]]
    if unknown:
        raise InputError(
            f"There is no task {unknown[0]!r} to fetch; choose among {', '.join(hub_tasks.ON_HUB[kind])}."
        )
    named: Literal["sts", "retrieval"] = "sts" if kind == "sts" else "retrieval"
    spec = FetchSpec(named, tuple(tasks or hub_tasks.ON_HUB[kind]), str(tasks_folder(workspace, kind)))
    return {"job_id": workspace.jobs.submit(spec, title=f"Fetch {kind} tasks"), "folder": spec.folder}


def tasks_folder(workspace: Workspace, kind: str) -> Path:
    """Return the folder of the tasks of this kind that were fetched into the workspace."""
    return workspace.root / "tasks" / kind


def held_out_rows(workspace: Workspace, snapshot_id: str) -> pd.DataFrame:
    """Return the held-out triplets of a snapshot. Raises InputError when it is too small to have any."""
    return pa.Table.from_batches(held_out_batches(workspace, snapshot_id)).to_pandas()


def held_out_batches(workspace: Workspace, snapshot_id: str) -> Iterator[pa.RecordBatch]:
    """Yield the same, with the column split, a batch in memory at a time."""
    snapshot, found = find_snapshot(workspace, snapshot_id), 0
    for batch in workspace.store.snapshots.batches(snapshot.snapshot_id):
        chosen = batch.filter(pa.array(map(benchmark.is_held_out, batch["premise"].to_pylist()), pa.bool_()))
        found += chosen.num_rows
        yield with_split(chosen, "held_out")
    if not found:
        raise InputError(
            f"The snapshot {snapshot_id} has too few triplets ({snapshot.rows}) to hold some out: generate more."
        )


def with_split(batch: pa.RecordBatch, split: str) -> pa.RecordBatch:
    """Return the triplets with the column split."""
    return batch.append_column("split", pa.repeat(split, batch.num_rows))


def find_snapshot(workspace: Workspace, snapshot_id: str) -> Snapshot:
    """Return a snapshot by id or by name. Raises InputError that lists the known ones."""
    snapshots = workspace.store.snapshots.list()
    for snapshot in snapshots:
        if snapshot_id in (snapshot.snapshot_id, snapshot.name):
            return snapshot
    names = ", ".join(snapshot.name for snapshot in snapshots) or "none yet"
    raise InputError(
        f"There is no snapshot {snapshot_id!r} in this workspace (it has {names}): curate triplets first."
    )
