"""Correlations, agreement, and the bootstrap: arms are compared by resampling seeds and test items together.

One resample draws S of the S seeds with replacement and, within each task, n of its n items with replacement. All
arms of a resample use the same seeds and items; this makes the comparison paired. An arm's value in a resample is the
mean over the drawn seeds of its score on the drawn items; the average is the mean of the tasks' values. Differences
of arms are taken inside each resample, and the interval is the middle 95 % of them (percentile bootstrap). The
interval covers the variation of both seeds and test items; with few seeds the seeds' part is too narrow by a factor
of sqrt((S - 1) / S).
"""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import spearmanr, t

_BLOCK = 100
AVERAGE = "average"


def spearman(predicted: np.ndarray, gold: np.ndarray) -> float:
    """Spearman's rank correlation with average ranks for ties, in [-1, 1].

    Args:
        predicted: float (n,).
        gold: float (n,).

    Returns:
        The correlation; NaN where it is undefined (fewer than two pairs, or one side constant or not finite).

    Raises:
        ValueError: if the shapes differ.
    """
    predicted, gold = _paired(predicted, gold)
    if len(predicted) < 2 or not (np.isfinite(predicted).all() and np.isfinite(gold).all()):
        return float("nan")
    if np.ptp(predicted) == 0 or np.ptp(gold) == 0:
        return float("nan")
    return float(spearmanr(predicted, gold).statistic)


def why_undefined(predicted: np.ndarray, gold: np.ndarray) -> str:
    """Return why `spearman` is NaN for these values, or "" if it is defined. predicted, gold: float (n,)."""
    if len(gold) < 2:
        return "it has fewer than two pairs"
    if not np.isfinite(predicted).all():
        return "the encoder gives vectors that are not finite"
    if np.ptp(gold) == 0:
        return "its gold scores are all the same"
    return "the encoder gives all its pairs the same cosine" if np.ptp(predicted) == 0 else ""


@dataclass(frozen=True, slots=True)
class Interval:
    """A value on the whole sample with the percentile interval of its bootstrap samples, in the value's units."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, samples: np.ndarray, level: float = 0.95) -> "Interval":
        """Take the middle of the finite bootstrap samples, float (resamples,).

        Both ends are NaN if no sample is finite.
        """
        finite = samples[np.isfinite(samples)]
        tail = (1 - level) / 2
        low, high = np.quantile(finite, [tail, 1 - tail]) if len(finite) else (float("nan"), float("nan"))
        return cls(float(value), float(low), float(high))

    @property
    def is_settled(self) -> bool:
        """Whether the interval excludes zero, which settles the sign of the value."""
        return self.low > 0 or self.high < 0

    def times(self, factor: float) -> "Interval":
        """Return the interval in another unit."""
        return Interval(factor * self.value, factor * self.low, factor * self.high)


@dataclass(frozen=True, slots=True)
class Resampled:
    """Scores of every arm in every resample."""

    values: dict[str, dict[str, np.ndarray]]
    """arm -> task or `average` -> float64 (resamples,)."""
    scores: dict[str, dict[str, float]]
    """arm -> task or `average` -> the score on the original data, mean over seeds."""

    def difference(self, plus: Sequence[str], minus: Sequence[str], *, level: float = 0.95) -> dict[str, Interval]:
        """Return the mean of the arms `plus` minus that of the arms `minus`, per task and for the average."""
        found = {}
        for task in self.scores[plus[0]]:
            value = _mean(self.scores, plus, task) - _mean(self.scores, minus, task)
            samples = _mean(self.values, plus, task) - _mean(self.values, minus, task)
            found[task] = Interval.of(float(value), samples, level)
        return found


def resample(
    predictions: Mapping[str, Sequence[Mapping[str, np.ndarray]]],
    gold: Mapping[str, np.ndarray | None],
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> Resampled:
    """Score every arm in every resample of seeds and items; see the module docstring.

    Args:
        predictions: arm -> one mapping per seed, in the same order of seeds for all arms -> task -> float (items,).
            An arm with a single entry (an untrained encoder) counts as the same for every seed.
        gold: task -> float (items,), or None where the score is the mean of the values themselves.
        seed: for the resampling.
        resamples: number of bootstrap samples.

    Raises:
        ValueError: if arms differ in their number of seeds.
    """
    runs = sorted({len(cells) for cells in predictions.values()} - {1})
    if len(runs) > 1:
        raise ValueError(f"every arm needs the same seeds, got {runs} of them")
    generator = np.random.default_rng(seed)
    seeds = runs[0] if runs else 1
    weight_bs = multinomial_counts(generator, seeds, resamples) / seeds
    values: dict[str, dict[str, np.ndarray]] = {arm: {} for arm in predictions}
    scores: dict[str, dict[str, float]] = {arm: {} for arm in predictions}
    for task, gold_n in gold.items():
        items = len(next(iter(predictions.values()))[0][task])
        counts_bn = drawn_counts(generator, items, resamples)
        gold_ranks = None if gold_n is None else _CentredRanks(np.asarray(gold_n), counts_bn)
        for arm, cells in predictions.items():
            drawn_sb = np.stack([_scored(cell[task], gold_ranks, counts_bn) for cell in cells])
            weights = weight_bs if len(cells) > 1 else np.ones((resamples, 1))
            values[arm][task] = np.einsum("bs,sb->b", weights, drawn_sb)
            scores[arm][task] = float(np.mean([plain_score(cell[task], gold_n) for cell in cells]))
    for arm in predictions:
        values[arm][AVERAGE] = np.mean([values[arm][task] for task in gold], axis=0)
        scores[arm][AVERAGE] = float(np.mean([scores[arm][task] for task in gold]))
    return Resampled(values, scores)


def plain_score(values: np.ndarray, gold: np.ndarray | None) -> float:
    """Return one cell's score on one task: Spearman with gold, or the mean of hits. values, gold: float (items,)."""
    return float(np.mean(values)) if gold is None else spearman(values, gold)


def drawn_counts(generator: np.random.Generator, items: int, resamples: int) -> np.ndarray:
    """How often each item is drawn with replacement, int32 (resamples, items); every row sums to items."""
    counts = np.empty((resamples, items), dtype=np.int32)
    for row in counts:
        row[:] = np.bincount(generator.integers(0, items, size=items), minlength=items)
    return counts


def multinomial_counts(generator: np.random.Generator, items: int, resamples: int) -> np.ndarray:
    """Draw the same as `drawn_counts` with fewer random numbers, int64 (resamples, items); suits few items."""
    return generator.multinomial(items, np.full(items, 1 / items), size=resamples)


def blocks(resamples: int) -> list[slice]:
    """Split the resamples into blocks: arrays over all resamples and items at once would take gigabytes."""
    return [slice(start, start + _BLOCK) for start in range(0, resamples, _BLOCK)]


def mean_interval(scores: Sequence[float], *, level: float = 0.95) -> tuple[float, float]:
    """Return the Student t interval of the mean over seeds; NaN ends when there are fewer than two scores.

    scores: one value per seed of one arm, assumed independent. mean +- t(level, n - 1) * sd / sqrt(n).
    """
    if len(scores) < 2:
        return float("nan"), float("nan")
    values = np.asarray(scores, dtype=np.float64)
    half = float(t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return float(values.mean()) - half, float(values.mean()) + half


def _scored(values: np.ndarray, gold: "_CentredRanks | None", counts_bn: np.ndarray) -> np.ndarray:
    """Score of one cell in every resample, float64 (resamples,)."""
    if gold is None:
        return counts_bn @ np.asarray(values, dtype=np.float64) / counts_bn.shape[1]
    return gold.correlation(np.asarray(values))


class _CentredRanks:
    """Centred average ranks of the gold scores in every resample, shared by all cells scored on them."""

    def __init__(self, gold_n: np.ndarray, counts_bn: np.ndarray) -> None:
        self.counts_bn = counts_bn
        self.weighted_bn = np.empty(counts_bn.shape, dtype=np.float64)
        self.norm_b = np.empty(len(counts_bn))
        for block in blocks(len(counts_bn)):
            counts = counts_bn[block]
            ranks = _centred_ranks(gold_n, counts)
            self.weighted_bn[block] = counts * ranks
            self.norm_b[block] = np.sqrt((counts * ranks**2).sum(axis=1))

    def correlation(self, values_n: np.ndarray) -> np.ndarray:
        """Spearman of values with gold in every resample; NaN where one side is constant."""
        found = np.empty(len(self.counts_bn))
        for block in blocks(len(self.counts_bn)):
            counts = self.counts_bn[block]
            ranks = _centred_ranks(values_n, counts)
            norm_b = np.sqrt((counts * ranks**2).sum(axis=1)) * self.norm_b[block]
            with np.errstate(invalid="ignore", divide="ignore"):
                found[block] = (self.weighted_bn[block] * ranks).sum(axis=1) / norm_b
        return found


def _centred_ranks(values_n: np.ndarray, counts_bn: np.ndarray) -> np.ndarray:
    """Average rank of every item in each resample minus the mean rank (n + 1) / 2: float64 (resamples, items).

    Ranks follow from how often each item was drawn; the items are sorted once and not per resample.
    """
    _, group_n = np.unique(values_n, return_inverse=True)
    order = np.argsort(group_n, kind="stable")
    starts = np.searchsorted(group_n[order], np.arange(group_n.max() + 1))
    in_group = np.add.reduceat(counts_bn[:, order], starts, axis=1)
    before = np.cumsum(in_group, axis=1) - in_group
    ranks = before + (in_group + 1) / 2.0
    return ranks[:, group_n] - (counts_bn.shape[1] + 1) / 2.0


def _mean(of: Mapping[str, Mapping[str, Any]], arms: Sequence[str], task: str) -> np.ndarray:
    return np.asarray(np.mean([of[arm][task] for arm in arms], axis=0))


def _paired(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"expected two arrays of the same length, got shapes {first.shape} and {second.shape}")
    return first, second


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float:
    """Agreement of two annotators beyond chance, (p_o - p_e) / (1 - p_e) (Cohen 1960).

    Args:
        first: label per item by one annotator, (n,).
        second: label per item by the other, (n,).

    Returns:
        At most 1; 0 is chance. NaN without items, or if both gave the same single label to every item.
    """
    if len(first) != len(second):
        raise ValueError(f"both annotators need the same number of labels, got {len(first)} and {len(second)}")
    n = len(first)
    if not n:
        return float("nan")
    observed = sum(x == y for x, y in zip(first, second, strict=True)) / n
    counts, others = Counter(first), Counter(second)
    expected = sum(counts[label] * others[label] for label in counts) / n**2
    return (observed - expected) / (1 - expected) if expected < 1 else float("nan")


def krippendorff_alpha(items: Sequence[Sequence[Hashable]]) -> float:
    """Agreement of any number of annotators, 1 - D_o / D_e for nominal labels (Krippendorff 2011, section C).

    Args:
        items: per item its labels, one per annotator who saw it; items with one label do not count.

    Returns:
        At most 1; 0 is chance. NaN if nothing can be compared or only one label occurs.
    """
    rated = [Counter(labels) for labels in items if len(labels) > 1]
    totals: Counter[Hashable] = sum(rated, Counter())
    n = totals.total()
    # Pairs of different labels within items, each item weighted by 1 / (labels - 1), against pairs over all labels.
    apart = sum((c.total() ** 2 - sum(k * k for k in c.values())) / (c.total() - 1) for c in rated)
    possible = n * n - sum(k * k for k in totals.values())
    return 1 - (n - 1) * apart / possible if possible else float("nan")
