"""Behavioural results of a workspace: read from the folders of the jobs that made them, never stored twice."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.jobs.kinds import BehaviourSpec

if TYPE_CHECKING:
    from workbench.workspace import Workspace


@dataclass(frozen=True, slots=True)
class BehaviourRun:
    """The latest finished run of the suite on one encoder."""

    encoder_id: str
    job_id: str
    path: Path
    """Table of cases with the verdicts."""


def latest_runs(workspace: "Workspace") -> dict[str, BehaviourRun]:
    """Encoder id -> its latest finished run whose file is still there, oldest encoder first."""
    runs: dict[str, BehaviourRun] = {}
    for job in reversed(workspace.jobs.of(BehaviourSpec)):
        path = workspace.jobs.output(job.job_id, "cases.parquet")
        if job.state == "finished" and path.exists():
            runs[job.spec.encoder_id] = BehaviourRun(job.spec.encoder_id, job.job_id, path)
    return runs
