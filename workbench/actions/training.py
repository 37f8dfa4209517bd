"""Stage 3: training runs, previews of the mask, studies."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pandas as pd
import pyarrow as pa

from pipeline.durable import write_bytes
from pipeline.evaluation.benchmark import is_held_out
from pipeline.records import InputError
from pipeline.settings import from_fields
from pipeline.studies.spec import Study
from pipeline.studies.spec_file import LARGEST_STUDY_BYTES, read_study
from pipeline.train_config import TrainConfig
from workbench.actions.call import Answer, action, guarded
from workbench.actions.evaluation import checked_folder, find_snapshot, held_out_batches, with_split
from workbench.actions.models import at_commit, find_encoder
from workbench.jobs import places
from workbench.jobs.folder import USABLE
from workbench.jobs.kinds import PreviewSpec, StudySpec, TrainSpec
from workbench.paths import SAMPLE_CORPUS
from workbench.store.journals import schema_of
from workbench.store.snapshots import COLUMNS, Snapshot
from workbench.study_runs import study_command, study_file
from workbench.workspace import Workspace

if TYPE_CHECKING:
    from workbench.jobs.folder import Input


@action
def start_train(
    workspace: Workspace,
    *,
    snapshot_id: str,
    config: Annotated[dict[str, Any], TrainConfig],
    sts_dir: str | None = None,
    held_out: str | None = None,
    title: str = "",
    on: str = places.LOCAL,
) -> Answer:
    """Queue a training run; its encoder is scored right after, on an STS folder or on a snapshot's held-out triplets.

    With `held_out` (a snapshot) the held-out fifth of the premises takes no part in training. `on`: local, gpu:NUMBER
    or torchrun:PROCESSES, which share every batch.
    """
    settings = from_fields(TrainConfig, config)
    place = places.Place.parse(places.checked("train", on))
    if place.engine == "torchrun" and settings.batch_size % place.processes:
        raise InputError(
            f"A batch of {settings.batch_size} triplets cannot be shared evenly by {place.processes} processes; "
            "choose another."
        )
    if place.engine in ("gpu", "torchrun") and settings.device.startswith("cuda:"):
        raise InputError(f"With {on} the device is chosen by the place: set device auto, or run on local.")
    snapshot = find_snapshot(workspace, snapshot_id)
    rows, counts = training_rows(workspace, snapshot.snapshot_id, held_out)
    table: Input = rows
    if settings.cosent_weight:
        on_texts = ["triplet_id", "positive", "hard_negative"]
        table = rows.read_pandas().merge(judge_scores(workspace, snapshot), on=on_texts, how="left")
    title = title or f"{settings.encoder} on {snapshot.name}, mask {settings.mask_rule}, seed {settings.seed}"
    settings = replace(settings, encoder=at_commit(workspace, settings.encoder))
    if settings.needs_guide:
        settings = replace(settings, guide=at_commit(workspace, settings.guide))
    spec = TrainSpec(
        config=settings,
        name=title,
        snapshot_id=snapshot.snapshot_id,
        sts_dir=str(checked_folder(sts_dir)) if sts_dir else None,
        held_out=held_out,
        data=f"snapshot `{snapshot.name.replace('`', '')}`, sha256 {snapshot.sha256[:16]}",
        on=on.strip(),
    )
    job_id = workspace.jobs.submit(spec, table, title=title)
    return {"job_id": job_id, "run_id": job_id, "triplets": counts["train"]}


def training_rows(
    workspace: Workspace, snapshot_id: str, held_out: str | None
) -> tuple[pa.RecordBatchReader, Counter[str]]:
    """Return a snapshot's triplets with a column split: train, or held_out for rows of `held_out` (a snapshot).

    Also how many there are of each split, once they were read.
    """
    counts: Counter[str] = Counter()

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in workspace.store.snapshots.batches(snapshot_id):
            if held_out:
                kept = [not is_held_out(premise) for premise in batch["premise"].to_pylist()]
                batch = batch.filter(pa.array(kept, pa.bool_()))
            counts["train"] += batch.num_rows
            yield with_split(batch, "train")
        if held_out:
            yield from held_out_batches(workspace, held_out)

    return pa.RecordBatchReader.from_batches(schema_of((*COLUMNS, "split")), batches()), counts


def judge_scores(workspace: Workspace, snapshot: Snapshot) -> pd.DataFrame:
    """Return triplet_id, positive, hard_negative, a, b by the snapshot's judge, the texts as it read them.

    Raises InputError for a snapshot that was made without a judge.
    """
    if snapshot.judge_id is None:
        raise InputError(
            f"CoSENT needs a judge's scores, and the snapshot {snapshot.name} was made without a judge: freeze one "
            "under a rule, or set cosent_weight to 0."
        )
    return workspace.store.judgements.with_texts(snapshot.attempt_ids, snapshot.judge_id)


@action
def start_preview(workspace: Workspace, *, snapshot_id: str, guide: str, held_out: str | None = None) -> Answer:
    """Queue the count of what each phi would mask of a snapshot under a guide, or return an earlier one."""
    snapshot = find_snapshot(workspace, snapshot_id)
    key = preview_key(snapshot.snapshot_id, guide, bool(held_out))
    if known := workspace.jobs.latest(PreviewSpec, lambda spec: spec.key == key, states=USABLE):
        return {"job_id": known.job_id}
    rows, _ = training_rows(workspace, snapshot.snapshot_id, held_out)
    folder = find_encoder(workspace, guide).folder
    title = f"Mask preview of {snapshot.name} by {guide}"
    return {"job_id": workspace.jobs.submit(PreviewSpec(folder, key), rows, title=title)}


def preview_key(snapshot_id: str, guide: str, hold_out: bool) -> str:
    """Return the key that equal previews share; snapshots never change."""
    return f"preview {snapshot_id} {guide} {'held out' if hold_out else 'all'}"


@action
def start_study(workspace: Workspace, *, file: str, sts_dir: str | None = None, download: bool = False) -> Answer:
    """Queue a study; finished cells are not run again. `file` is a path or the name of a shipped study."""
    path = study_file(Path(file))
    folder = checked_folder(sts_dir) if sts_dir else None
    study = read_study(path, sample=SAMPLE_CORPUS, sts_dir=folder)
    live = workspace.jobs.latest(StudySpec, lambda spec: spec.study == study.name, states=("queued", "running"))
    if live:
        raise InputError(f"The study {study.name} is already {live.state}.")
    spec = StudySpec(study.name, str(path), str(folder) if folder else None, download, study_command(path, sts_dir))
    job_id = workspace.jobs.submit(spec, snapshot_rows(workspace, study), title=f"Study: {study.title}")
    return {"job_id": job_id, "study": study.name}


@guarded
def keep_study_file(workspace: Workspace, content: bytes) -> Path:
    """Save an uploaded study in the workspace under its own name; an unusable one is an InputError."""
    if len(content) > LARGEST_STUDY_BYTES:
        raise InputError(f"A study file has at most {LARGEST_STUDY_BYTES >> 10} KB; this file is larger.")
    folder = study_files(workspace)
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / "uploaded-study.yaml"
    write_bytes(draft, content)
    try:
        study = read_study(draft, sample=SAMPLE_CORPUS)
        kept = folder / f"{study.name}.yaml"
        write_bytes(kept, content)
        return kept
    finally:
        draft.unlink(missing_ok=True)


def study_files(workspace: Workspace) -> Path:
    """Return the folder of uploaded study files."""
    return workspace.root / "studies" / "files"


def snapshot_rows(workspace: Workspace, study: Study) -> pd.DataFrame | None:
    """Return the triplets of all snapshots that the arms name, with the column snapshot; None if they name none."""
    names = list(dict.fromkeys(arm.snapshot for arm in study.arms if arm.snapshot))
    frames = [
        workspace.store.snapshots.rows(find_snapshot(workspace, name).snapshot_id).assign(snapshot=name)
        for name in names
    ]
    return pd.concat(frames, ignore_index=True) if frames else None
