"""Stage 3: start a training run on a snapshot."""

from typing import Any

import pandas as pd

from pipeline.config import TrainConfig, from_fields
from pipeline.evaluation.held_out import is_held_out
from workbench.actions.evaluation import checked_folder, find_encoder, find_snapshot, held_out_rows
from workbench.jobs.folder import USABLE
from workbench.jobs.kinds import PreviewSpec, TrainSpec
from workbench.workspace import Workspace


def start_train(
    workspace: Workspace,
    *,
    snapshot_id: str,
    config: dict[str, Any],
    sts_dir: str | None = None,
    held_out: str | None = None,
    title: str = "",
) -> dict[str, Any]:
    """Queue a training run; its encoder is scored right after, on an STS folder or on a snapshot's held-out triplets.

    With `held_out` (a snapshot) the held-out fifth of the premises takes no part in training.
    """
    settings = from_fields(TrainConfig, config)
    snapshot = find_snapshot(workspace, snapshot_id)
    frame = training_rows(workspace, snapshot.snapshot_id, held_out)
    title = title or f"{settings.encoder} on {snapshot.name}, mask {settings.mask_rule}, seed {settings.seed}"
    spec = TrainSpec(
        config=settings,
        name=title,
        snapshot_id=snapshot.snapshot_id,
        sts_dir=str(checked_folder(sts_dir)) if sts_dir else None,
        held_out=held_out,
        data=f"snapshot `{snapshot.name.replace('`', '')}`, sha256 {snapshot.sha256[:16]}",
    )
    job_id = workspace.jobs.submit(spec, frame, title=title)
    return {"job_id": job_id, "run_id": job_id, "triplets": int((frame["split"] == "train").sum())}


def training_rows(workspace: Workspace, snapshot_id: str, held_out: str | None) -> pd.DataFrame:
    """Return a snapshot's triplets with a column split: train, or held_out for rows of `held_out` (a snapshot)."""
    frame = workspace.store.snapshots.rows(snapshot_id).assign(split="train")
    if held_out:
        frame = pd.concat([frame[~frame["premise"].map(is_held_out)], held_out_rows(workspace, held_out)])
    return frame


def start_preview(
    workspace: Workspace, *, snapshot_id: str, guide: str, held_out: str | None = None
) -> dict[str, Any]:
    """Queue the count of what each phi would mask of a snapshot under a guide; one there is is answered again."""
    snapshot = find_snapshot(workspace, snapshot_id)
    key = preview_key(snapshot.snapshot_id, guide, bool(held_out))
    if known := workspace.jobs.latest(PreviewSpec, lambda spec: spec.key == key, states=USABLE):
        return {"job_id": known.job_id}
    frame = training_rows(workspace, snapshot.snapshot_id, held_out)
    folder = find_encoder(workspace, guide).folder
    title = f"Mask preview of {snapshot.name} by {guide}"
    return {"job_id": workspace.jobs.submit(PreviewSpec(folder, key), frame, title=title)}


def preview_key(snapshot_id: str, guide: str, hold_out: bool) -> str:
    """Return what makes two previews the same: snapshots never change."""
    return f"preview {snapshot_id} {guide} {'held out' if hold_out else 'all'}"
