"""Maps whose every place, pair and mover is known, for looking at them in a browser and for measuring."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tests.pages.filled import finished_job
from tests.workbench.store_samples import add_import
from workbench.maps import PAIR_ROLES, MapFiles, place_columns, task_corpus
from workbench.workspace import Workspace

ROLES = ("premise", "positive", "hard_negative")
GROUPS = 8
FLOOR = 0.5
ENCODERS = ("static-minilm", "all-MiniLM-L6-v2", "smollm2-135m")


@dataclass(frozen=True)
class Planted:
    """What was planted."""

    map_id: str
    attempt_id: str
    points: pd.DataFrame
    pairs: pd.DataFrame
    movers: np.ndarray
    """bool per point: in another group's place in the last drawing."""


def plant(
    workspace: Workspace, *, triplets: int, drawings: int = 1, number: int = 0, is_stored: bool = True
) -> Planted:
    """Store triplets and a finished map of them; the texts hold markup that must stay text."""
    generator = np.random.default_rng(number)
    texts = {
        role: [f"{role} {i} <b>bold</b> &amp; *plain*, group {i % GROUPS}" for i in range(triplets)] for role in ROLES
    }
    frame = pd.DataFrame({"premise_id": [str(i) for i in range(triplets)], **texts})
    attempt_id = f"planted-{number}"
    if is_stored:
        attempt_id = add_import(workspace.store, f"planted {number}", "planted.csv", frame)
    points, movers = geometry(triplets, drawings, generator)
    points.insert(0, "triplet_id", [f"{attempt_id}-{i}" for i in range(triplets) for _ in ROLES])
    points.insert(2, "text", [texts[role][i] for i in range(triplets) for role in ROLES])
    map_id = f"20260101-0005{number:02d}-000-project-ffff"
    path = workspace.root / "jobs" / map_id / "out" / "points.parquet"
    row = _row(map_id, ENCODERS[drawings - 1], attempt_id, path, len(points), "aligned" if drawings > 1 else "umap")
    finished_job(workspace, map_id, "project", [row], total=3)
    files = MapFiles(path)
    pairs = planted_pairs(triplets, generator)
    files.write_pairs(pairs)
    for drawing in range(drawings):
        np.save(files.vectors_path(drawing), vectors(triplets, generator).astype(np.float16))
    files.write(points, about(attempt_id, triplets, drawings))
    return Planted(map_id, attempt_id, points, pairs, movers)


def plant_pairs(workspace: Workspace, *, pairs: int) -> Planted:
    """Store a finished map of a task's pairs: the n-th pair's sentences lie at (n, 0) and (n, 1)."""
    ids = [f"pair-{i}" for i in range(pairs) for _ in PAIR_ROLES]
    points = pd.DataFrame({"triplet_id": ids, "role": list(PAIR_ROLES) * pairs})
    points["text"] = [f"{role} {i} <b>bold</b>" for i in range(pairs) for role in PAIR_ROLES]
    points["x"], points["y"] = np.repeat(np.arange(pairs), 2).astype(float), np.tile([0.0, 1.0], pairs)
    points["gold"], points["predicted"], points["error"] = 2.0, 0.5, np.repeat(np.linspace(-1, 1, pairs), 2)
    points["cluster"] = 0
    map_id, corpus = "20260101-000599-000-project-eeee", task_corpus("Planted")
    path = workspace.root / "jobs" / map_id / "out" / "points.parquet"
    finished_job(
        workspace, map_id, "project", [_row(map_id, ENCODERS[0], corpus, path, len(points), "umap")], total=3
    )
    encoders = [{"encoder_id": ENCODERS[0], "folder": ENCODERS[0], "name": ENCODERS[0]}]
    MapFiles(path).write(points, {"encoders": encoders, "clusters": [""], "corpus": corpus})
    return Planted(map_id, corpus, points, pd.DataFrame(), np.zeros(len(points), dtype=bool))


def _row(map_id: str, encoder_id: str, corpus: str, path: Path, points: int, method: str) -> dict:
    return {
        "table": "projections",
        "projection_id": map_id,
        "encoder_id": encoder_id,
        "corpus": corpus,
        "method": method,
        "path": str(path),
        "trustworthiness": 0.93,
        "neighbour_recall": 0.31,
        "points": points,
    }


def geometry(triplets: int, drawings: int, generator: np.random.Generator) -> tuple[pd.DataFrame, np.ndarray]:
    """Groups on a circle; in later drawings every tenth triplet has gone to the next group."""
    group = np.repeat(np.arange(triplets) % GROUPS, len(ROLES))
    angle = 2 * np.pi * np.arange(GROUPS) / GROUPS
    centres = 10 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    noise = generator.normal(size=(len(group), 2))
    movers = np.repeat(np.arange(triplets) % 10 == 3, len(ROLES))
    points = pd.DataFrame({"role": np.tile(ROLES, triplets)})
    for drawing, columns in enumerate(place_columns(drawings)):
        now = np.where(movers & (drawing > 0), (group + 1) % GROUPS, group)
        points[list(columns)] = (centres[now] + noise).astype(np.float32)
    margin = np.repeat(np.where(np.arange(triplets) % 5 == 0, -0.1, 0.25), len(ROLES))
    points["cos_positive"], points["cos_hard_negative"], points["margin"] = 0.6, 0.6 - margin, margin
    points["cluster"] = group
    if drawings > 1:
        first, last = (points[list(columns)].to_numpy() for columns in place_columns(drawings)[:: drawings - 1])
        points["kept"] = np.where(movers, 0.1, 0.9).astype(np.float32)
        points["moved"] = np.linalg.norm(last - first, axis=1)
    return points, movers


def planted_pairs(triplets: int, generator: np.random.Generator) -> pd.DataFrame:
    """Four pairs per triplet at most, with cosines spread over 0.5..1."""
    count = min(4 * triplets, 20_000)
    first, second = generator.integers(0, triplets, (2, count))
    cosine = np.sort(FLOOR + (1 - FLOOR) * generator.random(count))[::-1]
    return pd.DataFrame(
        {"premise": 3 * first, "candidate": 3 * second + 1 + first % 2, "cosine": cosine.astype(np.float32)}
    )


def vectors(triplets: int, generator: np.random.Generator) -> np.ndarray:
    """Unit vectors around one direction per group."""
    group = np.repeat(np.arange(triplets) % GROUPS, len(ROLES))
    around = generator.normal(size=(GROUPS, 16))[group] + 0.4 * generator.normal(size=(len(group), 16))
    return around / np.linalg.norm(around, axis=1, keepdims=True)


def about(attempt_id: str, triplets: int, drawings: int) -> dict:
    """The map's description."""
    encoders = [{"encoder_id": name, "folder": name, "name": name} for name in ENCODERS[:drawings]]
    pairs = {"guide": "all-MiniLM-L6-v2", "floor": FLOOR, "candidates": triplets * (2 * triplets - 1)}
    names = [f"group {number}" for number in range(GROUPS)]
    return {"encoders": encoders, "clusters": names, "corpus": attempt_id, "pairs": pairs}
