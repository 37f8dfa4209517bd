"""The pairs and triplets on which an encoder is most wrong, in a finished evaluation and while it trains."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pipeline.evaluation.benchmark import HELD_OUT_TASK, Encoder, evaluate, held_out_cosines
from pipeline.evaluation.sts import StsTask, find_tasks, read_task
from pipeline.records import InputError, Triplet
from pipeline.statistics import share
from pipeline.train_config import DevMetric

DEV_TASK = "STSB-dev"
WORST = 20


@dataclass(frozen=True, slots=True)
class PairError:
    """One sentence pair with its place in gold's order and in the encoder's."""

    row: int
    """Position in the task."""
    subset: str
    sentence1: str
    sentence2: str
    gold: float
    cosine: float
    gold_rank: float
    """Share of pairs ranked below, 0..1, ties averaged."""
    cosine_rank: float
    residual: float
    """cosine_rank - gold_rank: above zero the encoder finds the pair too similar, below zero too different."""


def rank_residuals(predicted: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """Difference of relative ranks, predicted less gold, float64 (n,) in [-1, 1].

    Ranks are averaged over ties and scaled to 0..1. Spearman looks at ranks alone, so this is the error it punishes;
    a difference of raw scores would depend on the encoder's scale. One pair, or none, has no rank: 0.
    """
    if len(predicted) != len(gold):
        raise ValueError(f"expected as many predictions as gold scores, got {len(predicted)} and {len(gold)}")
    return relative_ranks(predicted) - relative_ranks(gold)


def relative_ranks(values: np.ndarray) -> np.ndarray:
    """Average ranks scaled to 0..1, float64 (n,); one value, or none, gives 0."""
    from scipy.stats import rankdata

    if len(values) < 2:
        return np.zeros(len(values))
    return (rankdata(values) - 1) / (len(values) - 1)


def worst_pairs(task: StsTask, predicted: np.ndarray, *, count: int = 50) -> list[PairError]:
    """The pairs with the largest rank residuals, worst first; ties in the order of the task.

    Args:
        task: the pairs with gold scores.
        predicted: float (pairs,), cosines in the order of the task.
        count: most pairs returned.
    """
    gold_ranks, cosine_ranks = relative_ranks(task.gold), relative_ranks(predicted)
    residuals = rank_residuals(predicted, task.gold)
    # Rounded, as equal residuals differ in their last bits and would lose the task's order.
    order = np.argsort(-np.abs(residuals).round(9), kind="stable")[:count]
    return [
        PairError(
            row=int(row),
            subset=task.subset[row],
            sentence1=task.sentence1[row],
            sentence2=task.sentence2[row],
            gold=float(task.gold[row]),
            cosine=float(predicted[row]),
            gold_rank=float(gold_ranks[row]),
            cosine_rank=float(cosine_ranks[row]),
            residual=float(residuals[row]),
        )
        for row in order
    ]


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
        found = share(part, whole, level=level)
        return cls(part, whole, found.low, found.high)


def is_violated(near: np.ndarray, far: np.ndarray, *, margin: float = 0.0) -> np.ndarray:
    """Whether the positive is not nearer than the hard negative by more than the margin: bool (n,).

    near, far: cosines of the premise with the positive and with the hard negative. With margin 0 the mean over
    triplets is one minus `held_out_accuracy`: a tie counts as violated. Raises ValueError for a negative margin.
    """
    if margin < 0:
        raise ValueError(f"the margin must be at least 0, got {margin}")
    return near - far <= margin


@dataclass(frozen=True, slots=True)
class Validated:
    """One look at an encoder while it trains."""

    score: float
    worst: list[dict[str, Any]]
    """JSON values of the rows that are furthest off, worst first."""


class Validation(Protocol):
    """Scores an encoder on data that takes no part in training."""

    @property
    def name(self) -> str:
        """Name of the data."""

    def __call__(self, encoder: Encoder) -> Validated:
        """Score the encoder."""


@dataclass(frozen=True, slots=True)
class StsValidation:
    """Spearman on the pairs of an STS task; the worst are those furthest from their place in gold's order."""

    task: StsTask
    name: str = DEV_TASK

    def __call__(self, encoder: Encoder) -> Validated:
        """Score the encoder."""
        result = next(evaluate(encoder, [self.task]))
        worst = [
            {
                "sentence1": pair.sentence1,
                "sentence2": pair.sentence2,
                "gold": pair.gold,
                "cosine": pair.cosine,
                "error": pair.residual,
            }
            for pair in worst_pairs(self.task, result.predicted, count=WORST)
        ]
        return Validated(result.score.spearman, worst)


@dataclass(frozen=True, slots=True)
class HeldOutValidation:
    """Share of triplets whose positive is nearer than the hard negative; the worst have the lowest margin."""

    triplets: Sequence[Triplet]
    name: str = HELD_OUT_TASK

    def __call__(self, encoder: Encoder) -> Validated:
        """Score the encoder."""
        near, far = held_out_cosines(encoder, self.triplets)
        worst = [
            {
                "premise": self.triplets[row].premise,
                "positive": self.triplets[row].positive,
                "hard_negative": self.triplets[row].hard_negative,
                "cos_positive": float(near[row]),
                "cos_hard_negative": float(far[row]),
                "error": float(near[row] - far[row]),
            }
            for row in np.argsort(near - far, kind="stable")[:WORST]
        ]
        return Validated(float(np.mean(near > far)), worst)


def validation(sts_dir: Path | None, held_out: Sequence[Triplet], metric: DevMetric = "auto") -> Validation | None:
    """Return what a run is followed on: STSB-dev of the folder, else the held-out triplets, else nothing.

    metric: `auto`, or `sts-dev` or `held-out` to allow only that one; InputError where its data is not at hand.
    """
    path = find_tasks(sts_dir, for_tuning=True).get(DEV_TASK) if sts_dir and metric != "held-out" else None
    if path is not None:
        return StsValidation(read_task(DEV_TASK, path))
    if metric == "sts-dev":
        where = f"{sts_dir} holds no {DEV_TASK} file" if sts_dir else "no STS folder is named"
        raise InputError(f"The dev metric is sts-dev, but {where}; add one, or choose held-out.")
    if metric == "held-out" and not held_out:
        raise InputError("The dev metric is held-out, but no triplet is held out; hold some out, or choose sts-dev.")
    return HeldOutValidation(held_out) if held_out else None
