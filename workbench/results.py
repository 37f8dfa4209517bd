"""Results of finished hygiene, behaviour and margin jobs, read from the folders of the jobs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.analysis.neighbours import nearest
from workbench.jobs.kinds import BehaviourSpec, HygieneSpec, MarginsSpec
from workbench.workspace import Workspace


@dataclass(frozen=True, slots=True)
class HygieneRun:
    """A finished hygiene job."""

    job_id: str
    out: Path
    finished_at: str | None
    spec: HygieneSpec
    triplets: int

    @property
    def about(self) -> dict[str, Any]:
        """Names of the tasks searched for leaks, size of the sample of pairs, floor of their cosines."""
        return json.loads((self.out / "about.json").read_text(encoding="utf-8"))

    @property
    def has_guide(self) -> bool:
        """Whether a guide took part."""
        return (self.out / "premises.npy").exists()

    def table(self, name: str) -> pd.DataFrame:
        """Return one of duplicates, leaks, copies, closer, masked, premises."""
        return _table(str(self.out / f"{name}.parquet"))

    def neighbours(self, triplet_id: str, premise: str, *, count: int = 8) -> pd.DataFrame | None:
        """Return triplet_id, premise, cosine of the nearest other premises; None for a premise not among them."""
        known, vectors = self.table("premises"), _vectors(str(self.out / "premises.npy"))
        place = known.index[known["premise"] == premise]
        if place.empty:
            return None
        rows, cosines = nearest(vectors, vectors[place[0]].astype("float32"), count=count + 1)
        found = known.iloc[rows].assign(cosine=cosines)
        return found[found["premise"] != premise].head(count)


def latest_hygiene(workspace: Workspace, attempt_ids: Sequence[str]) -> HygieneRun | None:
    """Return the newest finished hygiene job on exactly these generation runs, or None."""
    for job in workspace.jobs.of(HygieneSpec, lambda spec: set(spec.attempt_ids) == set(attempt_ids)):
        about = workspace.jobs.output(job.job_id, "about.json")
        if job.state == "finished" and about.exists():
            triplets = int(job.details.get("triplets", 0))
            return HygieneRun(job.job_id, about.parent, job.finished_at, job.spec, triplets)
    return None


@lru_cache(maxsize=16)
def _table(path: str) -> pd.DataFrame:
    """Read a table that never changes once written; callers must not change it either."""
    return pd.read_parquet(path)


@lru_cache(maxsize=2)
def _vectors(path: str) -> np.ndarray:
    return np.load(path, mmap_mode="r", allow_pickle=False)


@dataclass(frozen=True, slots=True)
class BehaviourRun:
    """The latest finished run of the suite on one encoder."""

    encoder_id: str
    job_id: str
    path: Path
    """Table of cases with the verdicts."""


def latest_runs(workspace: Workspace) -> dict[str, BehaviourRun]:
    """Encoder id -> its latest finished run whose file is still there, oldest encoder first."""
    runs: dict[str, BehaviourRun] = {}
    for job in reversed(workspace.jobs.of(BehaviourSpec)):
        path = workspace.jobs.output(job.job_id, "cases.parquet")
        if job.state == "finished" and path.exists():
            runs[job.spec.encoder_id] = BehaviourRun(job.spec.encoder_id, job.job_id, path)
    return runs


@dataclass(frozen=True, slots=True)
class MarginRun:
    """A finished measurement of one encoder on one set of triplets."""

    job_id: str
    path: Path
    """Table of triplets with near and far."""
    finished_at: str | None


def latest_margins(workspace: Workspace, *, encoder_id: str, corpus: str) -> MarginRun | None:
    """Return the newest finished measurement whose file is still there, or None."""
    wanted = (encoder_id, corpus)
    for job in workspace.jobs.of(MarginsSpec, lambda spec: (spec.encoder_id, spec.corpus) == wanted):
        path = workspace.jobs.output(job.job_id, "margins.parquet")
        if job.state == "finished" and path.exists():
            return MarginRun(job.job_id, path, job.finished_at)
    return None
