"""The data a run is followed on: one score, and the rows it gets most wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pipeline.analysis.errors import worst_pairs
from pipeline.errors import InputError
from pipeline.evaluation.benchmark import Encoder, SentenceVectors, evaluate
from pipeline.evaluation.held_out import HELD_OUT_TASK
from pipeline.evaluation.metrics import row_cosine
from pipeline.evaluation.sts import StsTask, find_tasks, read_task
from pipeline.records import Triplet
from pipeline.train_config import DevMetric

DEV_TASK = "STSB-dev"
WORST = 20


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
        vectors = SentenceVectors(encoder)
        vectors([text for t in self.triplets for text in (t.premise, t.positive, t.hard_negative)])
        premise = vectors([t.premise for t in self.triplets])
        near = row_cosine(premise, vectors([t.positive for t in self.triplets]))
        far = row_cosine(premise, vectors([t.hard_negative for t in self.triplets]))
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
