"""Behavioural results of a workspace: read from the folders of the jobs that made them, never stored twice."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.evaluation.behaviour import Case, read_cases, write_cases
from workbench.durable import sync_file, sync_folder

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
    for job in reversed(workspace.jobs.list()):
        path = workspace.root / "jobs" / job.job_id / "out" / "cases.parquet"
        if job.kind == "behaviour" and job.state == "finished" and path.exists():
            encoder_id = str(job.spec["encoder_id"])
            runs[encoder_id] = BehaviourRun(encoder_id, job.job_id, path)
    return runs


class OwnTests:
    """Tests that people added to this workspace."""

    def __init__(self, workspace_root: Path) -> None:
        self.path = workspace_root / "behaviour.jsonl"

    def list(self) -> "list[Case]":
        """Return them in the order in which they were added."""
        return read_cases(self.path) if self.path.exists() else []

    def add(self, case: Case) -> bool:
        """Add one; False when it is there already."""
        known = self.list()
        if case in known:
            return False
        partial = self.path.with_suffix(".partial")
        write_cases([*known, case], partial)
        sync_file(partial)
        partial.replace(self.path)
        sync_folder(self.path.parent)
        return True
