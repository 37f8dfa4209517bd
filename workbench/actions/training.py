"""Stage 3: start a training run on a snapshot."""

from dataclasses import asdict
from typing import Any

import pandas as pd

from pipeline.config import TrainConfig, from_fields
from pipeline.evaluation.held_out import is_held_out
from workbench.actions.evaluation import checked_folder, find_snapshot, held_out_rows
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
    frame = workspace.store.snapshots.rows(snapshot.snapshot_id)
    frame["split"] = "train"
    if held_out:
        frame = pd.concat([frame[~frame["premise"].map(is_held_out)], held_out_rows(workspace, held_out)])
    title = title or f"{settings.encoder} on {snapshot.name}, mask {settings.mask_rule}, seed {settings.seed}"
    spec = {
        "config": asdict(settings),
        "name": title,
        "snapshot_id": snapshot.snapshot_id,
        "sts_dir": str(checked_folder(sts_dir)) if sts_dir else None,
        "held_out": held_out,
    }
    job_id = workspace.jobs.submit("train", spec, frame, title=title)
    return {"job_id": job_id, "run_id": job_id, "triplets": int((frame["split"] == "train").sum())}
