"""Looking at the workspace and steering its jobs."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workbench.workspace import Workspace


def overview(workspace: Workspace) -> dict[str, Any]:
    """Return the counts that Home shows."""
    return workspace.store.overview()


def jobs(workspace: Workspace) -> dict[str, Any]:
    """Return every job, newest first."""
    return {"jobs": [asdict(view) for view in workspace.jobs.list()]}


def job(workspace: Workspace, *, job_id: str) -> dict[str, Any]:
    """Return one job; `settled` says that every row it wrote is in the tables."""
    view = asdict(workspace.jobs.get(job_id))
    return view | {"settled": bool(workspace.ingester.error(job_id)) or not workspace.ingester.is_behind(job_id)}


def pause(workspace: Workspace, *, job_id: str) -> dict[str, Any]:
    """Ask a running job to stop at its next safe point; it can be resumed."""
    workspace.jobs.pause(job_id)
    return job(workspace, job_id=job_id)


def cancel(workspace: Workspace, *, job_id: str) -> dict[str, Any]:
    """Ask a job to stop for good; what it wrote stays."""
    workspace.jobs.cancel(job_id)
    return job(workspace, job_id=job_id)


def finish(workspace: Workspace, *, job_id: str) -> dict[str, Any]:
    """End a training run at its next step and keep the encoder it has by then."""
    workspace.jobs.finish(job_id)
    return job(workspace, job_id=job_id)


def move(workspace: Workspace, *, job_id: str, places: int) -> dict[str, Any]:
    """Move a waiting job this many places back in its queue; a negative number brings it forward."""
    workspace.jobs.move(job_id, places)
    return job(workspace, job_id=job_id)


def resume(workspace: Workspace, *, job_id: str) -> dict[str, Any]:
    """Queue a paused, interrupted or failed job again; it goes on where its journal ends."""
    workspace.jobs.resume(job_id)
    return job(workspace, job_id=job_id)


def backup(workspace: Workspace, *, path: str) -> dict[str, Any]:
    """Copy the database into a new file while the workspace is in use."""
    workspace.store.backup(Path(path))
    return {"path": path}


def scores(workspace: Workspace) -> dict[str, Any]:
    """Return every score: per encoder and task a Spearman (a fraction), and per encoder the held-out accuracy."""
    table = workspace.store.scores
    return {
        "scores": table.matrix().to_dict(orient="records"),
        "held_out": table.held_out().to_dict(orient="records"),
    }


def attempts(workspace: Workspace) -> dict[str, Any]:
    """Return every generation attempt and import, newest first."""
    frame = workspace.store.triplets.attempts()
    return {"attempts": json.loads(frame.to_json(orient="records", date_format="iso"))}
