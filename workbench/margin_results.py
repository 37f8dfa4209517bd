"""Cosines of triplets measured in a workspace: read from the folders of the jobs that made them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.jobs.kinds import MarginsSpec

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
    wanted = (encoder_id, corpus)
    for job in workspace.jobs.of(MarginsSpec, lambda spec: (spec.encoder_id, spec.corpus) == wanted):
        path = workspace.jobs.output(job.job_id, "margins.parquet")
        if job.state == "finished" and path.exists():
            return MarginRun(job.job_id, path, job.finished_at)
    return None
