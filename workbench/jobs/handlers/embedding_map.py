"""The embedding map as a job: encode the sentences of a triplet set, project them, measure what the map shows."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.analysis import masks, neighbours, projection
from pipeline.durable import write_array
from pipeline.encoders import load_encoder
from pipeline.vectors import CachedEncoder
from workbench.jobs.context import JobContext
from workbench.jobs.kinds import MapEncoder, ProjectSpec
from workbench.jobs.on_cluster import embedding
from workbench.journal import Row
from workbench.maps import TRIPLET_ROLES, MapFiles, long_form, place_columns, roles_of

_NEIGHBOURS = 10
_MOST_GUIDED = 20_000
_MOST_HUBS = 60_000
"""Most sentences whose neighbours are all looked up, which takes their number squared."""


def run_project(context: JobContext[ProjectSpec]) -> None:
    """Write the map's files into out/ and one projections row; see MapFiles for what they hold."""
    spec = context.spec
    encoders = spec.encoders
    frame = context.input()
    points = long_form(frame)
    guided = bool(spec.guide) and len(frame) <= _MOST_GUIDED
    stages = _Stages(context, len(encoders) + 3 + guided)
    spaces = [_encoded(stages, encoder, points["text"]) for encoder in encoders]
    stages.next("Projecting")
    drawings = (
        [projection.project(spaces[0], method="pca" if spec.method == "pca" else "umap", seed=spec.seed)]
        if spec.method != "aligned"
        else projection.project_aligned(spaces, seed=spec.seed)
    )
    for column, values in zip(place_columns(len(drawings)), drawings, strict=True):
        points[list(column)] = values
    if context.stop_requested():
        return
    stages.next("Measuring the map and naming its groups")
    measured = [projection.quality(space, drawing) for space, drawing in zip(spaces, drawings, strict=True)]
    if roles_of(frame) == TRIPLET_ROLES:
        _add_margins(points, spaces[-1])
    names = _describe(points, spaces, drawings)
    files = MapFiles(context.out / "points.parquet")
    for number, space in enumerate(spaces):
        write_array(files.vectors_path(number), space.astype(np.float16))
    about: dict[str, Any] = {"encoders": [asdict(encoder) for encoder in encoders]}
    about |= {"clusters": names, "corpus": spec.corpus}
    if guided and spec.guide:
        about["pairs"] = _guide(stages, files, spec.guide, points, spaces, encoders)
    stages.next("Writing")
    files.write(points, about)
    context.write([_row(context, encoders, measured, points, files.points)])
    stages.next("Done")


class _Stages:
    """Progress in whole steps."""

    def __init__(self, context: JobContext, total: int) -> None:
        self.context = context
        self._total, self._done = total, -1

    def next(self, message: str) -> None:
        self._done += 1
        self.context.progress(self._done, self._total, message=message)


def _encoded(stages: _Stages, encoder: MapEncoder, texts: pd.Series) -> np.ndarray:
    stages.next(f"Encoding with {encoder.name or encoder.encoder_id}")
    numbers, unique = pd.factorize(texts)
    model = load_encoder(encoder.folder)

    def stop_if_asked(done: int, total: int) -> None:
        stages.context.stop_if_asked()

    with embedding(stages.context, encoder.folder, model) as elsewhere:
        cached = CachedEncoder(model, stages.context.vectors, stop_if_asked, elsewhere)
        return cached.encode(list(unique), batch_size=128)[numbers]


def _add_margins(points: pd.DataFrame, space: np.ndarray) -> None:
    """Add the cosines of each triplet's sides to its premise, and their difference."""
    step = len(TRIPLET_ROLES)
    premise, positive, hard_negative = (space[start::step] for start in range(step))
    for column, side in (("cos_positive", positive), ("cos_hard_negative", hard_negative)):
        points[column] = np.repeat(np.einsum("nd,nd->n", premise, side), step)
    points["margin"] = points["cos_positive"] - points["cos_hard_negative"]


def _describe(points: pd.DataFrame, spaces: list[np.ndarray], drawings: list[np.ndarray]) -> list[str]:
    """Add group, hubness and neighbours kept, all from the full space; return the names of the groups."""
    last = spaces[-1]
    points["cluster"] = projection.cluster(last, seed=0)
    if len(points) <= _MOST_HUBS or len(spaces) > 1:
        near = neighbours.neighbour_table(last, count=_NEIGHBOURS)
        points["hubness"] = np.bincount(near.ravel(), minlength=len(points))
    if len(spaces) > 1:
        points["kept"] = neighbours.neighbours_kept(neighbours.neighbour_table(spaces[0], count=_NEIGHBOURS), near)
        points["moved"] = projection.displacement(drawings[0], drawings[-1])
    return projection.distinguishing_words(points["text"].tolist(), points["cluster"].to_numpy())


def _guide(
    stages: _Stages,
    files: MapFiles,
    guide: str,
    points: pd.DataFrame,
    spaces: list[np.ndarray],
    encoders: Sequence[MapEncoder],
) -> dict[str, Any]:
    """Write the pairs that some phi would mask; return the facts that the page shows about them."""
    same = [space for space, encoder in zip(spaces, encoders, strict=True) if encoder.folder == guide]
    unit = same[0] if same else _encoded(stages, MapEncoder(guide, guide), points["text"])
    if same:
        stages.next("Comparing pairs")
    step = len(TRIPLET_ROLES)
    found = masks.masked_pairs(*(unit[start::step] for start in range(step)))
    pairs = pd.DataFrame(
        {
            "premise": found.premise * step,
            "candidate": found.candidate * step + np.where(found.is_hard_negative, 2, 1),
            "cosine": found.cosine,
        }
    )
    files.write_pairs(pairs)
    return {"guide": guide, "floor": found.floor, "candidates": found.candidates}


def _row(
    context: JobContext[ProjectSpec],
    encoders: Sequence[MapEncoder],
    measured: list[projection.ProjectionQuality],
    points: pd.DataFrame,
    path: Path,
) -> Row:
    return {
        "table": "projections",
        "projection_id": context.job_id,
        "encoder_id": encoders[-1].encoder_id,
        "corpus": context.spec.corpus,
        "method": context.spec.method,
        "path": str(path),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        # The worst of the drawings: the badge must not promise more than the slider shows.
        "trustworthiness": min(one.trustworthiness for one in measured),
        "neighbour_recall": min(one.neighbour_recall for one in measured),
        "points": len(points),
    }
