"""A job as a row of the table jobs."""

import json
from typing import Any

from workbench.jobs.views import JobView


def mirrored(view: JobView) -> dict[str, Any]:
    """Return the columns of the table jobs for this job."""
    return {
        "job_id": view.job_id,
        "kind": view.kind,
        "title": view.title,
        "state": view.state,
        "done": view.done,
        "total": view.total,
        "message": view.message,
        "spec": json.dumps(view.spec, sort_keys=True),
        "created_at": view.created_at,
        "started_at": view.started_at,
        "finished_at": view.finished_at,
    }
