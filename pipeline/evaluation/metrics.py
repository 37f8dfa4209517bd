"""Measures of an encoder: rank correlation with intervals, alignment and uniformity."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

_UNIFORMITY_BLOCK_ROWS = 1024
_BLOCK_RESAMPLES = 100


def spearman(predicted: np.ndarray, gold: np.ndarray) -> float:
    """Spearman's rank correlation with average ranks for ties, in [-1, 1].

    Args:
        predicted: float (n,).
        gold: float (n,).

    Returns:
        The correlation; NaN where it is not defined (fewer than two pairs, or one side constant or not finite).

    Raises:
        ValueError: if the shapes differ.
    """
    predicted, gold = _paired(predicted, gold)
    if len(predicted) < 2 or not (np.isfinite(predicted).all() and np.isfinite(gold).all()):
        return float("nan")
    if np.ptp(predicted) == 0 or np.ptp(gold) == 0:
        return float("nan")
    return float(spearmanr(predicted, gold).statistic)


@dataclass(frozen=True, slots=True)
class Interval:
    """A bootstrap percentile interval around the value on the whole sample."""

    value: float
    low: float
    high: float
    share_above_zero: float
    """Share of resamples above zero; near 0 or 1 means that the sign is settled."""


def bootstrap_difference(
    gold: np.ndarray,
    predicted_a: np.ndarray,
    predicted_b: np.ndarray,
    *,
    seed: int,
    resamples: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Paired bootstrap of spearman(a, gold) - spearman(b, gold): the same resampled pairs for both encoders.

    Args:
        gold: float (n,).
        predicted_a: float (n,), cosines of the first encoder.
        predicted_b: float (n,), cosines of the second encoder.
        seed: of the resampling.
        resamples: number of bootstrap samples.
        level: coverage of the percentile interval.
    """
    difference = resampled_differences(gold, predicted_a, predicted_b, seed=seed, resamples=resamples)
    return interval(spearman(predicted_a, gold) - spearman(predicted_b, gold), difference, level)


def resampled_differences(
    gold: np.ndarray, predicted_a: np.ndarray, predicted_b: np.ndarray, *, seed: int, resamples: int = 1000
) -> np.ndarray:
    """spearman(a, gold) - spearman(b, gold) in every bootstrap sample, float64 (resamples,); see above."""
    counts = _resample_counts(len(gold), resamples, seed)
    parts = []
    for start in range(0, resamples, _BLOCK_RESAMPLES):  # a block at a time: all at once would take gigabytes
        block = counts[start : start + _BLOCK_RESAMPLES]
        parts.append(
            _spearman_of_resamples(predicted_a, gold, block) - _spearman_of_resamples(predicted_b, gold, block)
        )
    return np.concatenate(parts)


def bootstrap_spearman(
    gold: np.ndarray, predicted: np.ndarray, *, seed: int, resamples: int = 1000, level: float = 0.95
) -> Interval:
    """Bootstrap percentile interval of one Spearman correlation; arguments as in `bootstrap_difference`."""
    counts = _resample_counts(len(gold), resamples, seed)
    return interval(spearman(predicted, gold), _spearman_of_resamples(predicted, gold, counts), level)


def interval(value: float, samples: np.ndarray, level: float = 0.95) -> Interval:
    """Percentile interval of bootstrap samples, float (resamples,), around the value on the whole sample."""
    samples = samples[np.isfinite(samples)]
    if len(samples) == 0:
        return Interval(value, float("nan"), float("nan"), float("nan"))
    tail = (1 - level) / 2
    low, high = np.quantile(samples, [tail, 1 - tail])
    return Interval(value, float(low), float(high), float(np.mean(samples > 0)))


def alignment(first: np.ndarray, second: np.ndarray) -> float:
    """Mean squared distance of positive pairs on the unit sphere; 0 is perfect.

    E ||f(x) - f(x+)||^2, Wang and Isola (2020), arXiv 2005.10242, eq. 1 with exponent 2.
    first, second: float (n, d), not necessarily normalised.
    """
    first, second = unit_rows(first), unit_rows(second)
    return float(np.mean(np.sum((first - second) ** 2, axis=1)))


def uniformity(vectors: np.ndarray) -> float:
    """Log of the mean Gaussian potential over distinct pairs, log E exp(-2 ||f(x) - f(y)||^2); lower is more uniform.

    Wang and Isola (2020), arXiv 2005.10242, eq. 2 with t = 2. vectors: float (n, d), n >= 2.
    """
    if len(vectors) < 2:
        raise ValueError(f"uniformity needs at least two vectors, got {len(vectors)}")
    unit = unit_rows(vectors)
    total = 0.0
    for start in range(0, len(unit), _UNIFORMITY_BLOCK_ROWS):
        # On the unit sphere the squared distance is 2 - 2 cos.
        cosine = unit[start : start + _UNIFORMITY_BLOCK_ROWS] @ unit.T
        total += float(np.exp(-2.0 * (2.0 - 2.0 * cosine)).sum())
    pairs = len(unit) * (len(unit) - 1)
    return float(np.log((total - len(unit)) / pairs))


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Scale rows to length one in float64; a zero row stays zero."""
    vectors = np.asarray(vectors, dtype=np.float64)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1.0)


def row_cosine(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine of corresponding rows of two (n, d) arrays, float64 (n,); 0 where a row is zero."""
    return np.einsum("nd,nd->n", unit_rows(first), unit_rows(second))


def _paired(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"expected two arrays of the same length, got shapes {first.shape} and {second.shape}")
    return first, second


def _resample_counts(n: int, resamples: int, seed: int) -> np.ndarray:
    # How often each pair was drawn: (resamples, n). Ranks within a resample follow from these counts, no sort needed.
    generator = np.random.default_rng(seed)
    counts = np.empty((resamples, n), dtype=np.int32)
    for row in counts:
        row[:] = np.bincount(generator.integers(0, n, size=n), minlength=n)
    return counts


def _spearman_of_resamples(predicted: np.ndarray, gold: np.ndarray, counts: np.ndarray) -> np.ndarray:
    predicted, gold = _paired(predicted, gold)
    rank_p, rank_g = _ranks_in_resamples(predicted, counts), _ranks_in_resamples(gold, counts)
    total = counts.sum(axis=1, keepdims=True)
    rank_p -= (counts * rank_p).sum(axis=1, keepdims=True) / total
    rank_g -= (counts * rank_g).sum(axis=1, keepdims=True) / total
    covariance = (counts * rank_p * rank_g).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return covariance / np.sqrt((counts * rank_p**2).sum(axis=1) * (counts * rank_g**2).sum(axis=1))


def _ranks_in_resamples(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Average rank of every original pair inside each resample, (resamples, n); tied values share one rank."""
    _, group_n = np.unique(values, return_inverse=True)
    order = np.argsort(group_n, kind="stable")
    starts = np.searchsorted(group_n[order], np.arange(group_n.max() + 1))
    in_group = np.add.reduceat(counts[:, order], starts, axis=1)
    before = np.cumsum(in_group, axis=1) - in_group
    return (before + (in_group + 1) / 2.0)[:, group_n]
