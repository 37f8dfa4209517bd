"""Stage 3: start a training run on a snapshot."""

from dataclasses import asdict
from typing import Any

from pipeline.config import TrainConfig, from_fields
from pipeline.errors import InputError
from workbench.actions.evaluation import checked_folder
from workbench.workspace import Workspace


def start_train(
    workspace: Workspace,
    *,
    snapshot_id: str,
    config: dict[str, Any],
    sts_dir: str | None = None,
    title: str = "",
) -> dict[str, Any]:
    """Queue a training run; with an STS folder its encoder is scored right after training."""
    settings = from_fields(TrainConfig, config)
    snapshot = find_snapshot(workspace, snapshot_id)
    frame = workspace.store.snapshots.rows(snapshot.snapshot_id)
    title = title or f"{settings.encoder} on {snapshot.name}, mask {settings.mask_rule}, seed {settings.seed}"
    spec = {
        "config": asdict(settings),
        "name": title,
        "snapshot_id": snapshot.snapshot_id,
        "sts_dir": str(checked_folder(sts_dir)) if sts_dir else None,
    }
    job_id = workspace.jobs.submit("train", spec, frame, title=title)
    return {"job_id": job_id, "run_id": job_id, "triplets": len(frame)}


def find_snapshot(workspace: Workspace, snapshot_id: str) -> Any:
    """Return a snapshot by id or by name. Raises InputError that lists those there are."""
    snapshots = workspace.store.snapshots.list()
    for snapshot in snapshots:
        if snapshot_id in (snapshot.snapshot_id, snapshot.name):
            return snapshot
    names = ", ".join(snapshot.name for snapshot in snapshots) or "none yet"
    raise InputError(
        f"There is no snapshot {snapshot_id!r} in this workspace (it has {names}): curate triplets first."
    )
