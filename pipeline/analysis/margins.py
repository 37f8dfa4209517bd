"""Hard negatives against positives: how far an encoder keeps the two sentences of a triplet apart."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from pipeline.evaluation.metrics import row_cosine

Vectors = Callable[[Sequence[str]], np.ndarray]
"""Takes sentences; returns float32 (sentences, d)."""


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the triplets, with the Wilson interval of its share."""

    part: int
    whole: int
    low: float
    high: float

    @classmethod
    def of(cls, inside: np.ndarray, *, level: float = 0.95) -> "Share":
        """Count a bool (n,); with n = 0 the interval is 0 to 1."""
        part, whole = int(inside.sum()), len(inside)
        if not whole:
            return cls(0, 0, 0.0, 1.0)
        interval = binomtest(part, whole).proportion_ci(level, method="wilson")
        return cls(part, whole, float(interval.low), float(interval.high))


def triplet_cosines(
    premise: Sequence[str], positive: Sequence[str], hard_negative: Sequence[str], vectors: Vectors
) -> tuple[np.ndarray, np.ndarray]:
    """Return cos(premise, positive) and cos(premise, hard negative), float64 (n,) each."""
    anchor = vectors(premise)
    return row_cosine(anchor, vectors(positive)), row_cosine(anchor, vectors(hard_negative))


def is_violated(near: np.ndarray, far: np.ndarray, *, margin: float = 0.0) -> np.ndarray:
    """Whether the positive is not nearer than the hard negative by more than the margin: bool (n,).

    near, far: cosines of the premise with the positive and with the hard negative. With margin 0 the mean over
    triplets is one minus `held_out_accuracy`: a tie counts as violated. Raises ValueError for a negative margin.
    """
    if margin < 0:
        raise ValueError(f"the margin must be at least 0, got {margin}")
    return near - far <= margin
