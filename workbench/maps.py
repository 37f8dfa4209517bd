"""The files of one embedding map: points, vectors, pairs, and what they are about."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from pipeline.durable import write_json, write_table


def place_columns(drawings: int) -> list[tuple[str, str]]:
    """Names of the coordinates: x, y for the first drawing, then x1, y1 and so on."""
    return [("x", "y"), *((f"x{k}", f"y{k}") for k in range(1, drawings))]


@dataclass(frozen=True)
class MapFiles:
    """Where a map's files lie, all beside its points.

    points.parquet holds triplet_id, role, text, the coordinates, and columns measured in the full space
    (cos_positive, cos_hard_negative, margin, cluster; kept and moved where encoders are compared).
    vectors-K.npy holds half floats of length one per encoder; pairs.parquet the pairs phi can mask, strongest first;
    map.json the encoders, the groups' names and the guide. Maps of earlier versions have the points alone.
    """

    points: Path

    @property
    def about_path(self) -> Path:
        """Description of the map."""
        return self.points.with_name("map.json")

    @property
    def pairs_path(self) -> Path:
        """Pairs of point numbers with their guide cosine."""
        return self.points.with_name("pairs.parquet")

    def vectors_path(self, number: int) -> Path:
        """Vectors under one encoder."""
        return self.points.with_name(f"vectors-{number}.npy")

    def write(self, points: pd.DataFrame, about: dict[str, Any]) -> None:
        """Write points and description, each whole or not at all."""
        write_table(self.points, points)
        write_json(self.about_path, about)

    def write_pairs(self, pairs: pd.DataFrame) -> None:
        """Write the pairs."""
        write_table(self.pairs_path, pairs)


class SentenceMap:
    """A map read into memory, read-only: sessions share it."""

    def __init__(self, path: Path) -> None:
        self.files = MapFiles(path)
        self.points = pd.read_parquet(path)
        about_path = self.files.about_path
        self.about: dict[str, Any] = json.loads(about_path.read_bytes()) if about_path.exists() else {}
        drawings = sum(name == "x" or (name[:1] == "x" and name[1:].isdigit()) for name in self.points.columns)
        columns = place_columns(drawings)
        self.places = [np.ascontiguousarray(self.points[list(names)], dtype=np.float32) for names in columns]
        self.role_codes = pd.factorize(self.points["role"])[0]

    def __len__(self) -> int:
        return len(self.points)

    @property
    def encoders(self) -> list[dict[str, Any]]:
        """The encoders of the drawings, in order; none are known for maps of earlier versions."""
        return self.about.get("encoders", [])

    @property
    def cluster_names(self) -> list[str]:
        """Words that set each group apart; an empty name where there are none."""
        return self.about.get("clusters", [])

    @cached_property
    def pairs(self) -> pd.DataFrame | None:
        """Columns premise, candidate (point numbers) and cosine, strongest first."""
        return pd.read_parquet(self.files.pairs_path) if self.files.pairs_path.exists() else None

    @cached_property
    def rows_of(self) -> dict[str, np.ndarray]:
        """Point numbers of each triplet."""
        return self.points.groupby("triplet_id", sort=False).indices

    @cached_property
    def group_names(self) -> list[tuple[float, float, str]]:
        """Place (x, y) in the first drawing and name of each group that has one: the median of its points."""
        places = pd.DataFrame(self.places[0], columns=["x", "y"]).groupby(self.points["cluster"].to_numpy()).median()
        named = [(row.x, row.y, self.cluster_names[row.Index]) for row in places.itertuples()]
        return [(x, y, name) for x, y, name in named if name]

    def vectors(self, number: int = -1) -> np.ndarray | None:
        """Vectors under an encoder as a memory map (-1: the last one), or None where they were not kept."""
        path = self.files.vectors_path(number % max(1, len(self.places)))
        return np.load(path, mmap_mode="r", allow_pickle=False) if path.exists() else None

    def places_at(self, morph: float) -> np.ndarray:
        """Coordinates between two drawings, float32 (n, 2): 0 is the first, 1 the second, 0.5 half way."""
        low = min(int(morph), len(self.places) - 1)
        high = min(low + 1, len(self.places) - 1)
        share = np.float32(morph - low)
        return self.places[low] * (1 - share) + self.places[high] * share


TRIPLET_ROLES: Final = ("premise", "positive", "hard_negative")
PAIR_ROLES: Final = ("sentence1", "sentence2")
_TASK: Final = "task:"
OUTCOMES: Final = {"positive": "positive_outcome", "hard_negative": "hard_negative_outcome"}
PAIR_COLUMNS: Final = ("gold", "predicted", "error")
"""Gold score, cosine, and predicted rank minus gold rank as a share of all pairs."""


def task_corpus(task: str) -> str:
    """Return the name that a map of a task's pairs is stored under."""
    return f"{_TASK}{task}"


def task_of(corpus: str) -> str | None:
    """Task whose pairs a map draws, or None for a map of triplets."""
    return corpus.removeprefix(_TASK) if corpus.startswith(_TASK) else None


def roles_of(frame: pd.DataFrame) -> tuple[str, ...]:
    """Roles of the sentences in a table of triplets or pairs."""
    return PAIR_ROLES if PAIR_ROLES[0] in frame else TRIPLET_ROLES


def long_form(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per sentence: triplet_id (for pairs the pair's id), role, text and what is known of each.

    The sentences of a triplet or pair follow each other. Pairs bring gold, predicted and error; triplets whose
    outcomes are given bring the outcome of each side, and `premise` for the premise.
    """
    frame = frame.reset_index(drop=True)
    parts = []
    for role in roles_of(frame):
        part = pd.DataFrame({"triplet_id": frame["triplet_id"], "role": role, "text": frame[role]})
        for column in PAIR_COLUMNS:
            if column in frame:
                part[column] = frame[column]
        if OUTCOMES["positive"] in frame:
            part["outcome"] = frame[OUTCOMES[role]] if role in OUTCOMES else role
        parts.append(part)
    return pd.concat(parts).sort_index(kind="stable").reset_index(drop=True)
