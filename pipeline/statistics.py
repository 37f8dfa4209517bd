"""Correlations, and every interval and verdict: three sources of variation, each by its own means.

*Test items.* Pairs that share a sentence are not independent: within every task whole clusters of such pairs
(`clusters`) are drawn with replacement. All arms are scored on the same draw, which makes the comparison paired.
A task of a single cluster says nothing about other items: its interval has no ends, and neither has the average's.
*Seeds.* They are few, so they are not resampled: the mean over S seeds is uncertain by their standard deviation
divided by sqrt(S), times Student's t with S - 1 degrees of freedom.
*Corpus.* Arms trained on H random halves of the premises vary around the whole corpus as much as it varies around
the population it was drawn from (half-sample replication, McCarthy 1969): the halves' standard deviation, without the
part of their seeds, times Student's t with H - 1 degrees of freedom.

A sample of a difference is its mean over the seeds on one draw of the items, plus one draw from each of the other two
distributions. The interval is the middle 95 % of the samples, and p the share of them on the far side of zero, twice.
Where several differences are judged together, p is adjusted by Holm's method (`holm`) and the verdict follows it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

# scipy.stats takes a second to import and is needed where something is computed only.

_BLOCK = 100
AVERAGE = "average"
LEVEL = 0.95
BETTER, WORSE, OPEN = "better", "worse", "no clear difference"


def spearman(predicted: np.ndarray, gold: np.ndarray) -> float:
    """Spearman's rank correlation with average ranks for ties, in [-1, 1]; predicted, gold: float (n,).

    NaN where it is undefined (fewer than two pairs, or one side constant or not finite). Raises ValueError if the
    shapes differ.
    """
    predicted, gold = _paired(predicted, gold)
    if len(predicted) < 2 or not (np.isfinite(predicted).all() and np.isfinite(gold).all()):
        return float("nan")
    if np.ptp(predicted) == 0 or np.ptp(gold) == 0:
        return float("nan")
    from scipy.stats import spearmanr

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
    p: float = float("nan")
    """Two-sided p value of no difference, after `holm` adjusted for the others of its table; NaN if not known."""

    @classmethod
    def of(cls, value: float, samples: np.ndarray, level: float = LEVEL) -> "Interval":
        """Take the middle of the finite bootstrap samples, float (resamples,).

        Both ends and p are NaN if no sample is finite.
        """
        finite = samples[np.isfinite(samples)]
        if not len(finite):
            return cls(float(value), float("nan"), float("nan"))
        tail = (1 - level) / 2
        low, high = np.quantile(finite, [tail, 1 - tail])
        beyond = min((finite <= 0).sum(), (finite >= 0).sum())
        return cls(float(value), float(low), float(high), min(1.0, 2 * float(beyond + 1) / (len(finite) + 1)))

    @property
    def is_known(self) -> bool:
        """Whether there are ends: a sample of one item or one cluster of items has none."""
        return bool(np.isfinite(self.low) and np.isfinite(self.high))

    @property
    def is_settled(self) -> bool:
        """Whether the sign of the value is settled: the interval excludes zero, and p, if known, is below 0.05."""
        return (self.low > 0 or self.high < 0) and not self.p >= 1 - LEVEL

    @property
    def verdict(self) -> str:
        """Better, worse or no clear difference."""
        return (BETTER if self.value > 0 else WORSE) if self.is_settled else OPEN

    def range(self, form: str = "+.2f") -> str:
        """Return the ends in words, "-0.30 to +0.52", or "interval unknown"; form: format of a number."""
        if not self.is_known:
            return "interval unknown"
        return f"{self.low:{form}} to {self.high:{form}}"

    def words(self, form: str = "+.2f") -> str:
        """Return the value with its ends, "+0.11 (-0.30 to +0.52)"."""
        return f"{self.value:{form}} ({self.range(form)})"

    def ends(self) -> dict[str, float]:
        """Return value, low and high: what there is to say of a score, which is compared with nothing."""
        return {"value": self.value, "low": self.low, "high": self.high}

    def times(self, factor: float) -> "Interval":
        """Return the interval in another unit."""
        return Interval(factor * self.value, factor * self.low, factor * self.high, self.p)


def share(part: int, whole: int, *, level: float = LEVEL) -> Interval:
    """Return part / whole with Wilson's interval; with nothing counted NaN, from 0 to 1."""
    from scipy.stats import binomtest

    if not whole:
        return Interval(float("nan"), 0.0, 1.0)
    found = binomtest(part, whole).proportion_ci(level, method="wilson")
    return Interval(part / whole, float(found.low), float(found.high))


def holm(intervals: Sequence[Interval]) -> list[Interval]:
    """Adjust the p values of differences that are judged together (Holm 1979): one error in 20 tables, not rows.

    The k-th smallest of m is multiplied by m - k + 1, and none is smaller than the one before. The intervals' ends
    stay those of each difference alone. Intervals without p are returned unchanged and do not count.
    """
    known = sorted((i for i, item in enumerate(intervals) if item.p == item.p), key=lambda i: intervals[i].p)
    adjusted, least = list(intervals), 0.0
    for place, i in enumerate(known):
        least = max(least, min(1.0, (len(known) - place) * intervals[i].p))
        adjusted[i] = replace(intervals[i], p=least)
    return adjusted


def clusters(first: Sequence[str], second: Sequence[str]) -> np.ndarray:
    """Return the cluster of every pair, int64 (n,) from 0: pairs linked by shared sentences belong together.

    first, second: the sentences of the pairs, (n,) each.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    sentences = np.unique(np.asarray([*first, *second], dtype=object), return_inverse=True)[1]
    one, other = sentences[: len(first)], sentences[len(first) :]
    count = int(sentences.max(initial=-1)) + 1
    links = coo_array((np.ones(len(one)), (one, other)), shape=(count, count))
    found = connected_components(links, directed=False)[1] if count else np.empty(0, dtype=np.int64)
    return np.unique(found[one], return_inverse=True)[1].astype(np.int64)


@dataclass(frozen=True, slots=True)
class Resampled:
    """Scores of every arm in every draw of the items, with those of its seeds and halves on all items."""

    values: dict[str, dict[str, np.ndarray]]
    """arm -> task or `average` -> mean over seeds, float64 (resamples,)."""
    scores: dict[str, dict[str, np.ndarray]]
    """arm -> task or `average` -> score of every seed, float64 (seeds,), or (1,) for an arm without seeds."""
    halves: dict[str, dict[str, np.ndarray]]
    """The same of the runs on halves of the corpus, float64 (halves,); empty without them."""
    seeds_t: np.ndarray
    """Draws from Student's t for the seeds, float64 (resamples,); zeros with one seed."""
    halves_t: np.ndarray
    """Draws from Student's t for the halves."""

    def difference(self, plus: Sequence[str], minus: Sequence[str], *, level: float = LEVEL) -> dict[str, Interval]:
        """Return the mean of the arms `plus` minus that of the arms `minus`, per task and for the average."""
        found = {}
        for task in self.scores[plus[0]]:
            per_seed = _mean(self.scores, plus, task) - _mean(self.scores, minus, task)
            samples = _mean(self.values, plus, task) - _mean(self.values, minus, task)
            samples = samples + self.seeds_t * _sd(per_seed) / np.sqrt(len(per_seed))
            if self.halves:
                per_half = _mean(self.halves, plus, task) - _mean(self.halves, minus, task)
                # Each half has a seed of its own, whose part is not the corpus's.
                samples = samples + self.halves_t * np.sqrt(max(0.0, _sd(per_half) ** 2 - _sd(per_seed) ** 2))
            found[task] = Interval.of(float(per_seed.mean()), samples, level)
        return found


Cells = Mapping[str, Sequence[Mapping[str, np.ndarray]]]


def resample(
    predictions: Cells,
    gold: Mapping[str, np.ndarray | None],
    *,
    linked: Mapping[str, np.ndarray] | None = None,
    halves: Cells | None = None,
    seed: int = 0,
    resamples: int = 1000,
) -> Resampled:
    """Score every arm in every draw of the items; see the module docstring.

    Args:
        predictions: arm -> one mapping per seed, in the same order of seeds for all arms -> task -> float (items,).
            An arm with a single entry (an untrained encoder) counts as the same for every seed.
        gold: task -> float (items,), or None where the score is the mean of the values themselves.
        linked: task -> cluster of every item, int (items,), from `clusters`; a task left out has independent items.
        halves: as `predictions`, of arms trained on halves of the corpus, in the same order of halves for all arms.
        seed: for the resampling.
        resamples: number of bootstrap samples.

    Raises:
        ValueError: if arms differ in their number of seeds or halves.
    """
    generator = np.random.default_rng(seed)
    values: dict[str, dict[str, np.ndarray]] = {arm: {} for arm in predictions}
    for task, gold_n in gold.items():
        items = len(next(iter(predictions.values()))[0][task])
        counts_bn = drawn_counts(generator, (linked or {}).get(task, np.arange(items)), resamples)
        gold_ranks = None if gold_n is None else _CentredRanks(np.asarray(gold_n), counts_bn)
        for arm, cells in predictions.items():
            values[arm][task] = np.mean([_scored(cell[task], gold_ranks, counts_bn) for cell in cells], axis=0)
    for arm in predictions:
        values[arm][AVERAGE] = np.mean([values[arm][task] for task in gold], axis=0)
    return Resampled(
        values=values,
        scores=_plain_scores(predictions, gold),
        halves=_plain_scores(halves or {}, gold),
        seeds_t=_students(generator, _runs(predictions, "seeds"), resamples),
        halves_t=_students(generator, _runs(halves or {}, "halves"), resamples),
    )


def _runs(cells: Cells, what: str) -> int:
    """Return how many runs every arm has; an arm with one run counts for any number."""
    found = sorted({len(runs) for runs in cells.values()} - {1})
    if len(found) > 1:
        raise ValueError(f"every arm needs the same {what}, got {found} of them")
    return found[0] if found else 1


def _students(generator: np.random.Generator, runs: int, resamples: int) -> np.ndarray:
    return generator.standard_t(runs - 1, resamples) if runs > 1 else np.zeros(resamples)


def _plain_scores(cells: Cells, gold: Mapping[str, np.ndarray | None]) -> dict[str, dict[str, np.ndarray]]:
    """Return arm -> task and `average` -> score of every run on all items, float64 (runs,)."""
    found = {}
    for arm, runs in cells.items():
        per_task = {
            task: np.array([plain_score(cell[task], values) for cell in runs]) for task, values in gold.items()
        }
        found[arm] = per_task | {AVERAGE: np.mean(list(per_task.values()), axis=0)}
    return found


def _sd(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def plain_score(values: np.ndarray, gold: np.ndarray | None) -> float:
    """Return one cell's score on one task: Spearman with gold, or the mean of hits. values, gold: float (items,)."""
    return float(np.mean(values)) if gold is None else spearman(values, gold)


def drawn_counts(generator: np.random.Generator, clusters_n: np.ndarray, resamples: int) -> np.ndarray:
    """How often each item is drawn when clusters are drawn with replacement, int32 (resamples, items).

    clusters_n: int (items,), the cluster of each item from 0; every resample has as many clusters as there are.
    A single cluster would be the same in every draw, which is no sign of certainty: it is then never drawn, and
    what is computed from the counts is NaN.
    """
    count = int(clusters_n.max(initial=-1)) + 1
    counts = np.zeros((resamples, len(clusters_n)), dtype=np.int32)
    if count < 2:
        return counts
    for row in counts:
        row[:] = np.bincount(generator.integers(0, count, size=count), minlength=count)[clusters_n]
    return counts


def multinomial_counts(generator: np.random.Generator, items: int, resamples: int) -> np.ndarray:
    """Draw single items as `drawn_counts` does, with fewer random numbers, int64 (resamples, items); suits few."""
    if items < 2:
        return np.zeros((resamples, items), dtype=np.int64)
    return generator.multinomial(items, np.full(items, 1 / items), size=resamples)


def blocks(resamples: int) -> list[slice]:
    """Split the resamples into blocks: arrays over all resamples and items at once would take gigabytes."""
    return [slice(start, start + _BLOCK) for start in range(0, resamples, _BLOCK)]


def _scored(values: np.ndarray, gold: "_CentredRanks | None", counts_bn: np.ndarray) -> np.ndarray:
    """Score of one cell in every resample, float64 (resamples,)."""
    if gold is None:
        with np.errstate(invalid="ignore"):
            return counts_bn @ np.asarray(values, dtype=np.float64) / counts_bn.sum(axis=1)
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
    """Return average ranks in each resample of n items minus their mean (n + 1) / 2: float64 (resamples, items).

    Ranks follow from how often each item was drawn; the items are sorted once and not per resample.
    """
    _, group_n = np.unique(values_n, return_inverse=True)
    order = np.argsort(group_n, kind="stable")
    starts = np.searchsorted(group_n[order], np.arange(group_n.max() + 1))
    in_group = np.add.reduceat(counts_bn[:, order], starts, axis=1)
    before = np.cumsum(in_group, axis=1) - in_group
    ranks = before + (in_group + 1) / 2.0
    return ranks[:, group_n] - (counts_bn.sum(axis=1, keepdims=True) + 1) / 2.0


def _mean(of: Mapping[str, Mapping[str, np.ndarray]], arms: Sequence[str], task: str) -> np.ndarray:
    # Arms without seeds have one value, which counts for every seed of the others.
    return np.asarray(sum(of[arm][task] for arm in arms) / len(arms))


def _paired(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"expected two arrays of the same length, got shapes {first.shape} and {second.shape}")
    return first, second
