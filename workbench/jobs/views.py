"""What people see of a job: its status, corrected by whether a worker really lives."""

import json
from dataclasses import dataclass, replace
from typing import Any

from workbench.jobs.folder import JobFolder, Spec, State, Status


@dataclass(frozen=True, slots=True)
class JobView:
    """One job as shown."""

    job_id: str
    kind: str
    title: str
    state: State
    done: int
    total: int
    rate: float | None
    eta_s: float | None
    message: str
    created_at: str
    started_at: str | None
    finished_at: str | None
    details: dict[str, Any]
    spec: dict[str, Any]
    queued_at: str | None = None


def view_of(spec: Spec, status: Status) -> JobView:
    """Join what was asked and how far it is."""
    return JobView(
        job_id=spec.job_id,
        kind=spec.kind,
        title=spec.title,
        state=status.state,
        done=status.done,
        total=status.total,
        rate=status.rate,
        eta_s=status.eta_s,
        message=status.message,
        created_at=spec.created_at,
        started_at=status.started_at,
        finished_at=status.finished_at,
        details=status.details,
        spec=spec.settings,
        queued_at=status.queued_at,
    )


def row_of(view: JobView) -> dict[str, Any]:
    """Return the columns of the table jobs for this job."""
    names = (
        "job_id",
        "kind",
        "title",
        "state",
        "done",
        "total",
        "message",
        "created_at",
        "started_at",
        "finished_at",
    )
    return {name: getattr(view, name) for name in names} | {"spec": json.dumps(view.spec, sort_keys=True)}


def true_status(folder: JobFolder) -> Status:
    """Return the status; `running` without a live worker is `interrupted`.

    The status is read again after the lock was found free: a worker that ended in between has written its
    last word before it let go.
    """
    status = stated(folder)
    if status.state != "running" or folder.is_alive():
        return status
    status = stated(folder)
    if status.state != "running":
        return status
    message = "The worker was stopped from outside; what it had saved is kept, resume goes on from there."
    return replace(status, state="interrupted", rate=None, eta_s=None, message=message)


def stated(folder: JobFolder) -> Status:
    """Return what the status file says; one lost in a power failure counts as a run cut short."""
    try:
        return folder.status()
    except (OSError, ValueError, TypeError):
        return Status(state="running")
