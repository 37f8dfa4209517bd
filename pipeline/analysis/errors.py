"""Where an encoder and the gold scores of a task disagree most."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from pipeline.evaluation.sts import StsTask


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
