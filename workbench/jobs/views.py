"""What people see of a job: its status, corrected by whether a worker really lives."""

import json
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from workbench.jobs.folder import JobFolder, JobRecord, State, Status
from workbench.jobs.kinds import JobSpec
from workbench.jobs.spec_values import plain_values

S = TypeVar("S", bound=JobSpec, covariant=True)


@dataclass(frozen=True, slots=True)
class JobView(Generic[S]):
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
    spec: S
    queued_at: str | None = None
    silent_s: float | None = None
    """Seconds since a running job last reported."""


def view_of(record: JobRecord, status: Status) -> JobView[JobSpec]:
    """Join what was asked and how far it is."""
    return JobView(
        job_id=record.job_id,
        kind=record.kind,
        title=record.title,
        state=status.state,
        done=status.done,
        total=status.total,
        rate=status.rate,
        eta_s=status.eta_s,
        message=status.message,
        created_at=record.created_at,
        started_at=status.started_at,
        finished_at=status.finished_at,
        details=status.details,
        spec=record.spec,
        queued_at=status.queued_at,
    )


def row_of(view: JobView[JobSpec]) -> dict[str, Any]:
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
    spec = json.dumps(plain_values(view.spec), sort_keys=True)
    return {name: getattr(view, name) for name in names} | {"spec": spec}


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
