"""Cosines of triplets measured in a workspace: read from the folders of the jobs that made them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.workspace import Workspace


@dataclass(frozen=True, slots=True)
class MarginRun:
    """A finished measurement of one encoder on one set of triplets."""

    job_id: str
    path: Path
    """Table of triplets with near and far."""
    finished_at: str | None


def latest_margins(workspace: "Workspace", *, encoder_id: str, corpus: str) -> MarginRun | None:
    """Return the newest finished measurement whose file is still there, or None."""
    for job in workspace.jobs.list():
        if job.kind != "margins" or job.state != "finished":
            continue
        path = workspace.root / "jobs" / job.job_id / "out" / "margins.parquet"
        if (job.spec["encoder_id"], job.spec["corpus"]) == (encoder_id, corpus) and path.exists():
            return MarginRun(job.job_id, path, job.finished_at)
    return None
