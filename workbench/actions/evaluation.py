"""Evaluation of encoders: on folders of tasks, on held-out triplets, on tasks made from your own pairs."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pandas as pd

from pipeline.evaluation import benchmark, hub_tasks, own_pairs, retrieval, sts, transfer
from pipeline.files.rows import LISTED_ROWS
from pipeline.records import InputError
from pipeline.weights import BUILT_IN_ENCODERS
from workbench.actions.call import Answer, action
from workbench.jobs.kinds import EvaluateSpec, FetchSpec
from workbench.store.curation import Snapshot
from workbench.store.models import StoredEncoder
from workbench.workspace import Workspace


@dataclass(frozen=True, slots=True)
class EncoderRef:
    """What a job needs to load an encoder, and the id its scores are stored under."""

    encoder_id: str
    folder: str


def find_encoder(workspace: Workspace, encoder: str) -> EncoderRef:
    """Return an encoder by id, name or folder. Raises InputError that lists the known ones."""
    if encoder in BUILT_IN_ENCODERS:
        return EncoderRef(encoder, encoder)
    known = workspace.store.encoders.list()
    for stored in known:
        if encoder in (stored.encoder_id, stored.name):
            if not has_weights(stored):
                raise InputError(
                    f"The weights of {stored.name} were deleted, and only its figures are left: train it again, or "
                    "choose another encoder."
                )
            return EncoderRef(stored.encoder_id, stored.folder)
    if Path(encoder).is_dir():
        return EncoderRef(encoder, encoder)
    names = ", ".join([*BUILT_IN_ENCODERS, *(stored.name for stored in known)])
    raise InputError(f"There is no encoder {encoder!r}: choose one of {names}, or name a folder.")


def weight_files(folder: Path) -> list[Path]:
    """Return the files of weights in and below a folder."""
    return sorted(folder.rglob("*.safetensors"))


def has_weights(encoder: StoredEncoder) -> bool:
    """Return whether an encoder that was trained here can still be loaded; one from elsewhere is not looked at."""
    return encoder.run_id is None or bool(weight_files(Path(encoder.folder)))


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
    title: str = "",
) -> Answer:
    """Queue the evaluation of an encoder.

    It runs on a folder of STS tasks, of retrieval tasks in BEIR's layout, of SentEval's transfer tasks, or on the
    held-out triplets of a snapshot.
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
    else:
        raise InputError(
            "An evaluation needs a folder of STS, retrieval or transfer tasks, or a snapshot to hold triplets out of."
        )
    job_id = workspace.jobs.submit(spec, frame, title=title or f"{encoder} on {where}")
    return {"job_id": job_id, "encoder_id": found.encoder_id}


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
    frame = workspace.store.snapshots.rows(find_snapshot(workspace, snapshot_id).snapshot_id)
    chosen = frame[frame["premise"].map(benchmark.is_held_out)].copy()
    if chosen.empty:
        raise InputError(
            f"The snapshot {snapshot_id} has too few triplets ({len(frame)}) to hold some out: generate more."
        )
    return chosen.assign(split="held_out")


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
