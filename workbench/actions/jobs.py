"""The workspace as a whole: its counts, jobs, scores, generation runs, and a backup."""

import json
from dataclasses import asdict
from pathlib import Path

from workbench.actions.call import Answer, action
from workbench.workspace import Workspace


@action
def overview(workspace: Workspace) -> Answer:
    """Return the counts that Home shows."""
    return workspace.store.overview()


@action
def jobs(workspace: Workspace) -> Answer:
    """Return every job, newest first."""
    return {"jobs": [asdict(view) for view in workspace.jobs.list()]}


@action
def job(workspace: Workspace, *, job_id: str) -> Answer:
    """Return one job; `settled` says that every row it wrote is in the tables."""
    view = asdict(workspace.jobs.get(job_id))
    return view | {"settled": bool(workspace.ingester.error(job_id)) or not workspace.ingester.is_behind(job_id)}


@action
def pause(workspace: Workspace, *, job_id: str) -> Answer:
    """Ask a running job to stop at its next safe point; it can be resumed."""
    workspace.jobs.pause(job_id)
    return job(workspace, job_id=job_id)


@action
def cancel(workspace: Workspace, *, job_id: str) -> Answer:
    """Ask a job to stop for good; what it wrote stays."""
    workspace.jobs.cancel(job_id)
    return job(workspace, job_id=job_id)


@action
def finish(workspace: Workspace, *, job_id: str) -> Answer:
    """End a training run at its next step and keep the encoder it has by then."""
    workspace.jobs.finish(job_id)
    return job(workspace, job_id=job_id)


@action
def move(workspace: Workspace, *, job_id: str, places: int) -> Answer:
    """Move a waiting job this many places back in its queue; a negative number brings it forward."""
    workspace.jobs.move(job_id, places)
    return job(workspace, job_id=job_id)


@action
def resume(workspace: Workspace, *, job_id: str) -> Answer:
    """Queue a paused, interrupted or failed job again; it continues where its journal ends."""
    workspace.jobs.resume(job_id)
    return job(workspace, job_id=job_id)


@action
def backup(workspace: Workspace, *, path: str) -> Answer:
    """Copy the database into a new file while the workspace is in use."""
    workspace.store.backup(Path(path))
    return {"path": path}


@action
def scores(workspace: Workspace) -> Answer:
    """Return every score: per encoder and task a Spearman (a fraction), and per encoder the held-out accuracy."""
    table = workspace.store.scores
    return {
        "scores": table.matrix().to_dict(orient="records"),
        "held_out": table.held_out().to_dict(orient="records"),
    }


@action
def attempts(workspace: Workspace) -> Answer:
    """Return every generation run and import, newest first."""
    frame = workspace.store.triplets.attempts()
    return {"attempts": json.loads(frame.to_json(orient="records", date_format="iso"))}
