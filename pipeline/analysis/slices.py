"""Automatic slices of a task's pairs: where an encoder's rank errors gather, with how sure that is.

With z the ranks standardised to mean 0 and variance 1, Spearman's rho is 1 - mean((z_predicted - z_gold)^2) / 2,
exactly. So every pair has a share in the loss 1 - rho, shares of disjoint slices add up, and a slice needs no
correlation of its own, which would be low wherever the gold scores lie close together.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

LEAST_PAIRS = 10
"""Smaller slices are not shown: an interval from so few pairs cannot be trusted."""
_BLOCK_RESAMPLES = 100


@dataclass(frozen=True, slots=True)
class SliceScore:
    """One slice of a task under one encoder."""

    name: str
    group: str
    pairs: int
    score: float
    """1 - mean loss of its pairs; the mean over all pairs of the task is the task's Spearman."""
    difference: float
    """Score less the score of all other pairs."""
    low: float
    high: float
    """Ends of the bootstrap percentile interval of the difference."""
    cost: float
    """What the task's Spearman would gain if these pairs were as good as the others; below zero they are better."""

    @property
    def says_nothing(self) -> bool:
        """Whether the interval covers zero, so that the slice may be like the rest."""
        return not (self.low > 0 or self.high < 0)


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
    drawn = _bootstrap_differences(inside_ns, losses, seed=seed, resamples=resamples)
    tail = (1 - level) / 2
    low, high = np.nanquantile(drawn, [tail, 1 - tail], axis=0)
    rows = []
    for column, ((group, name), inside) in enumerate(kept.items()):
        own, rest = float(losses[inside].mean()), float(losses[~inside].mean())
        rows.append(
            SliceScore(
                name=name,
                group=group,
                pairs=int(inside.sum()),
                score=1 - own,
                difference=rest - own,
                low=float(low[column]),
                high=float(high[column]),
                cost=float(inside.mean()) * (own - rest),
            )
        )
    return sorted(rows, key=lambda row: (row.says_nothing, -row.cost))


@dataclass(frozen=True, slots=True)
class SliceChange:
    """One slice under two encoders: the same pairs, the same resamples."""

    name: str
    group: str
    pairs: int
    before: float
    after: float
    change: float
    low: float
    high: float

    @property
    def says_nothing(self) -> bool:
        """Whether the interval covers zero."""
        return not (self.low > 0 or self.high < 0)


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
    drawn = np.concatenate(
        [
            (counts @ (inside_ns * gained[:, None])) / _at_least_one(counts @ inside_ns)
            for counts in _counts(len(gained), resamples, seed)
        ]
    )
    tail = (1 - level) / 2
    low, high = np.nanquantile(drawn, [tail, 1 - tail], axis=0)
    rows = [
        SliceChange(
            name=name,
            group=group,
            pairs=int(inside.sum()),
            before=1 - float(losses_before[inside].mean()),
            after=1 - float(losses_after[inside].mean()),
            change=float(gained[inside].mean()),
            low=float(low[column]),
            high=float(high[column]),
        )
        for column, ((group, name), inside) in enumerate(kept.items())
    ]
    return sorted(rows, key=lambda row: (row.says_nothing, -abs(row.change)))


def _bootstrap_differences(inside_ns: np.ndarray, losses: np.ndarray, *, seed: int, resamples: int) -> np.ndarray:
    """Difference of score, slice less rest, in every resample: float64 (resamples, slices)."""
    parts = []
    for counts in _counts(len(losses), resamples, seed):
        total, weighted = counts.sum(axis=1, keepdims=True), counts @ losses[:, None]
        n_inside, sum_inside = counts @ inside_ns, counts @ (inside_ns * losses[:, None])
        own = sum_inside / _at_least_one(n_inside)
        rest = (weighted - sum_inside) / _at_least_one(total - n_inside)
        parts.append(rest - own)
    return np.concatenate(parts)


def _counts(n: int, resamples: int, seed: int) -> list[np.ndarray]:
    """How often each pair was drawn, float64 (at most 100, n) per block, so that matrix products do the rest."""
    generator = np.random.default_rng(seed)
    blocks = []
    for start in range(0, resamples, _BLOCK_RESAMPLES):
        rows = min(_BLOCK_RESAMPLES, resamples - start)
        drawn = generator.integers(0, n, size=(rows, n)) + n * np.arange(rows)[:, None]
        blocks.append(np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64))
    return blocks


def _at_least_one(counts: np.ndarray) -> np.ndarray:
    # A resample may miss a small slice altogether; it then says nothing and is left out of the quantiles.
    return np.where(counts > 0, counts, np.nan)


def _standard_ranks(values: np.ndarray) -> np.ndarray:
    ranks = rankdata(values)
    return (ranks - ranks.mean()) / ranks.std()
