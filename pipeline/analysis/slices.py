"""Automatic slices of a task's pairs: where an encoder's rank errors gather, with how sure that is.

With z the ranks standardised to mean 0 and variance 1, Spearman's rho is 1 - mean((z_predicted - z_gold)^2) / 2,
exactly. So every pair has a share in the loss 1 - rho, shares of disjoint slices add up, and a slice needs no
correlation of its own, which would be low wherever the gold scores lie close together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from pipeline.analysis.pair_rules import Sentence, same_words_reordered, word_overlap

LEAST_PAIRS = 10
"""Smaller slices are not shown: an interval from so few pairs cannot be trusted."""
_BLOCK_RESAMPLES = 100
_SHORT_WORDS, _LONG_WORDS = 8, 20


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


def slice_members(
    sentence1: Sequence[str],
    sentence2: Sequence[str],
    gold: np.ndarray | Sequence[float],
    subset: Sequence[str],
    *,
    source: Sequence[str] | None = None,
) -> dict[tuple[str, str], np.ndarray]:
    """Members of every automatic slice: (group, name) -> bool (n,). Pairs may be in many slices.

    gold may be empty, and then there are no gold bands. source: where each pair comes from; an empty one is none.
    """
    first = [Sentence(text) for text in sentence1]
    second = [Sentence(text) for text in sentence2]
    pairs = list(zip(first, second, strict=True))

    def by(rule: Callable[[Sentence, Sentence], bool]) -> np.ndarray:
        return np.array([rule(a, b) for a, b in pairs], dtype=bool)

    members = {
        ("numbers", "numbers that differ"): by(lambda a, b: a.numbers != b.numbers),
        ("numbers", "the same numbers"): by(lambda a, b: bool(a.numbers) and a.numbers == b.numbers),
        ("dates", "dates that differ"): by(lambda a, b: a.dates != b.dates),
        ("dates", "the same dates"): by(lambda a, b: bool(a.dates) and a.dates == b.dates),
        ("names", "names that differ"): by(lambda a, b: a.names != b.names),
        ("names", "the same names"): by(lambda a, b: bool(a.names) and a.names == b.names),
        ("negation", "negation on one side"): by(lambda a, b: a.is_negated != b.is_negated),
        ("negation", "negation on both sides"): by(lambda a, b: a.is_negated and b.is_negated),
        ("question", "question on one side"): by(lambda a, b: a.is_question != b.is_question),
        ("question", "questions"): by(lambda a, b: a.is_question and b.is_question),
        ("order", "same words, other order"): by(same_words_reordered),
    }
    lengths = np.array([(len(a.words), len(b.words)) for a, b in pairs]).reshape(-1, 2)
    overlap = np.array([word_overlap(a, b) for a, b in pairs])
    members |= _length_slices(lengths) | _overlap_slices(overlap) | _gold_bands(np.asarray(gold, dtype=np.float64))
    for group, labels in (("subset", subset), ("source", source or [])):
        names = sorted(set(labels))
        if len(names) > 1:
            members |= {(group, name or "(none)"): np.array([own == name for own in labels]) for name in names}
    return members


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


def _length_slices(lengths: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
    longest, shortest = lengths.max(axis=1, initial=0), lengths.min(axis=1, initial=1_000)
    gap = longest - shortest
    return {
        ("length", f"both up to {_SHORT_WORDS} words"): longest <= _SHORT_WORDS,
        ("length", f"both {_SHORT_WORDS + 1} to {_LONG_WORDS} words"): (shortest > _SHORT_WORDS)
        & (longest <= _LONG_WORDS),
        ("length", f"one over {_LONG_WORDS} words"): longest > _LONG_WORDS,
        ("length difference", "equally long"): gap == 0,
        ("length difference", "4 to 7 words apart"): (gap >= 4) & (gap <= 7),
        ("length difference", "8 words apart or more"): gap >= 8,
    }


def _overlap_slices(overlap: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
    return {
        ("word overlap", "under 20% of words shared"): overlap < 0.2,
        ("word overlap", "20 to 50% of words shared"): (overlap >= 0.2) & (overlap < 0.5),
        ("word overlap", "50 to 80% of words shared"): (overlap >= 0.5) & (overlap < 0.8),
        ("word overlap", "80% of words shared or more"): overlap >= 0.8,
    }


def _gold_bands(gold: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
    """Five equal steps of the task's own scale, from its lowest to its highest gold score."""
    if len(gold) == 0 or np.ptp(gold) == 0:
        return {}
    edges = np.linspace(gold.min(), gold.max(), 6)
    band = np.clip(np.searchsorted(edges, gold, side="right") - 1, 0, 4)
    return {("gold", f"gold {edges[i]:.2g} to {edges[i + 1]:.2g}"): band == i for i in range(5)}
