"""Results of finished jobs, read from their folders: hygiene, behavioural tests, margins, and slices of tasks."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.analysis.neighbours import nearest
from pipeline.analysis.slices import SliceScore, score_slices, slice_members
from pipeline.evaluation.sts import source_of
from pipeline.statistics import clusters
from workbench.jobs.kinds import BehaviourSpec, HygieneSpec, MarginsSpec
from workbench.store.files import PairSlice, pair_ids
from workbench.workspace import Workspace

_SEED = 0


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


def title_of(group: str, name: str) -> str:
    """Return the name of a slice on screen and in the URL."""
    return f"{group} {name}" if group in ("subset", "source", "saved") else name


@dataclass(frozen=True, slots=True)
class TaskSlices:
    """Members and scores of every slice of a task; members are keyed by the slice's title."""

    members: dict[str, np.ndarray]
    scores: list[SliceScore]


def linked_pairs(pairs: pd.DataFrame) -> np.ndarray:
    """Return the cluster of every pair, int64 (pairs,); see `pipeline.statistics.clusters`."""
    return clusters(pairs["sentence1"].tolist(), pairs["sentence2"].tolist())


def slices_of(members: dict[tuple[str, str], np.ndarray], losses: np.ndarray, linked: np.ndarray) -> TaskSlices:
    """Score slices by the loss of each of their pairs; linked: int (pairs,), see `linked_pairs`."""
    titles = {title_of(*key): inside for key, inside in members.items()}
    return TaskSlices(titles, score_slices(members, losses, linked=linked, seed=_SEED))


def members_of(pairs: pd.DataFrame, saved: tuple[PairSlice, ...] = ()) -> dict[tuple[str, str], np.ndarray]:
    """Return the members of automatic and saved slices, without sources that equal a subset."""
    first, second, subset = (pairs[name].tolist() for name in ("sentence1", "sentence2", "subset"))
    members = slice_members(
        first, second, pairs["gold"].to_numpy(), subset, source=[source_of(name) for name in subset]
    )
    subsets = {inside.tobytes() for (group, _), inside in members.items() if group == "subset"}
    members = {
        key: inside for key, inside in members.items() if key[0] != "source" or inside.tobytes() not in subsets
    }
    ids = pair_ids(zip(first, second, strict=True))
    return members | {
        ("saved", item.name): np.array([pair in wanted for pair in ids], dtype=bool)
        for item in saved
        for wanted in [set(item.pair_ids)]
    }


def same_pairs(before: pd.DataFrame, after: pd.DataFrame) -> bool:
    """Whether two evaluations used the same pairs in the same order."""
    names = ["sentence1", "sentence2", "gold"]
    return len(before) == len(after) and before[names].equals(after[names])
