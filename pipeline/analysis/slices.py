"""Automatic slices of a task's pairs: where an encoder's rank errors gather, with how sure that is.

With z the ranks standardised to mean 0 and variance 1, Spearman's rho is 1 - mean((z_predicted - z_gold)^2) / 2,
exactly. So every pair has a share in the loss 1 - rho, shares of disjoint slices add up, and a slice needs no
correlation of its own, which would be low wherever the gold scores lie close together.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from pipeline.statistics import Interval, blocks, drawn_counts

LEAST_PAIRS = 10
"""Smaller slices are not shown: an interval from so few pairs cannot be trusted."""


@dataclass(frozen=True, slots=True)
class SliceScore:
    """One slice of a task under one encoder."""

    name: str
    group: str
    pairs: int
    score: float
    """1 - mean loss of its pairs; the mean over all pairs of the task is the task's Spearman."""
    difference: Interval
    """Score less the score of all other pairs."""
    cost: float
    """What the task's Spearman would gain if these pairs were as good as the others; below zero they are better."""


def rank_losses(predicted: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """Each pair's share in 1 - Spearman, float64 (n,), at least 0: its mean is 1 - rho, ties included.

    NaN everywhere when one side is constant or there are fewer than two pairs: rho is not defined then.
    """
    if len(predicted) != len(gold):
        raise ValueError(f"expected as many predictions as gold scores, got {len(predicted)} and {len(gold)}")
    if len(gold) < 2 or np.ptp(predicted) == 0 or np.ptp(gold) == 0:
        return np.full(len(gold), np.nan)
    return (_standard_ranks(predicted) - _standard_ranks(gold)) ** 2 / 2


def score_slices(
    members: dict[tuple[str, str], np.ndarray],
    losses: np.ndarray,
    *,
    seed: int,
    resamples: int = 1000,
    level: float = 0.95,
) -> list[SliceScore]:
    """Score slices against the rest of the task, what costs most first.

    The interval resamples the task's pairs with replacement, the same resamples for every slice; ranks stay those of
    the whole task. Slices with fewer than LEAST_PAIRS pairs, inside or outside, are left out.

    Args:
        members: (group, name) -> bool (n,).
        losses: float (n,), from `rank_losses`; all finite.
        seed: of the resampling.
        resamples: number of bootstrap samples.
        level: coverage of the interval.
    """
    n = len(losses)
    kept = {key: inside for key, inside in members.items() if LEAST_PAIRS <= inside.sum() <= n - LEAST_PAIRS}
    if not kept or not np.isfinite(losses).all():
        return []
    inside_ns = np.stack(list(kept.values()), axis=1).astype(np.float64)
    counts_bn = drawn_counts(np.random.default_rng(seed), n, resamples)
    drawn_bs = _drawn_means(1 - inside_ns, losses, counts_bn) - _drawn_means(inside_ns, losses, counts_bn)
    rows = []
    for column, ((group, name), inside) in enumerate(kept.items()):
        own, rest = float(losses[inside].mean()), float(losses[~inside].mean())
        found = Interval.of(rest - own, drawn_bs[:, column], level)
        rows.append(
            SliceScore(
                name=name,
                group=group,
                pairs=int(inside.sum()),
                score=1 - own,
                difference=found,
                cost=float(inside.mean()) * (own - rest),
            )
        )
    return sorted(rows, key=lambda row: (not row.difference.is_settled, -row.cost))


@dataclass(frozen=True, slots=True)
class SliceChange:
    """One slice under two encoders: the same pairs, the same resamples."""

    name: str
    group: str
    pairs: int
    before: float
    after: float
    change: Interval


def slice_changes(
    members: dict[tuple[str, str], np.ndarray],
    losses_before: np.ndarray,
    losses_after: np.ndarray,
    *,
    seed: int,
    resamples: int = 1000,
    level: float = 0.95,
) -> list[SliceChange]:
    """How each slice's score changes between two encoders, with a paired bootstrap interval; most changed first."""
    gained = losses_before - losses_after
    kept = {key: inside for key, inside in members.items() if inside.sum() >= LEAST_PAIRS}
    if not kept or not np.isfinite(gained).all():
        return []
    inside_ns = np.stack(list(kept.values()), axis=1).astype(np.float64)
    counts_bn = drawn_counts(np.random.default_rng(seed), len(gained), resamples)
    drawn_bs = _drawn_means(inside_ns, gained, counts_bn)
    rows = [
        SliceChange(
            name=name,
            group=group,
            pairs=int(inside.sum()),
            before=1 - float(losses_before[inside].mean()),
            after=1 - float(losses_after[inside].mean()),
            change=Interval.of(gained[inside].mean(), drawn_bs[:, column], level),
        )
        for column, ((group, name), inside) in enumerate(kept.items())
    ]
    return sorted(rows, key=lambda row: (not row.change.is_settled, -abs(row.change.value)))


def _drawn_means(inside_ns: np.ndarray, values: np.ndarray, counts_bn: np.ndarray) -> np.ndarray:
    """Mean of the values inside each slice in every resample, float64 (resamples, slices).

    NaN where a resample misses a small slice altogether: it then says nothing about it.
    """
    parts = []
    for block in blocks(len(counts_bn)):
        counts = counts_bn[block].astype(np.float64)
        drawn = counts @ inside_ns
        parts.append(counts @ (inside_ns * values[:, None]) / np.where(drawn > 0, drawn, np.nan))
    return np.concatenate(parts)


def _standard_ranks(values: np.ndarray) -> np.ndarray:
    ranks = rankdata(values)
    return (ranks - ranks.mean()) / ranks.std()
