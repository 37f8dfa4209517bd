"""Automatic slices of a task's pairs: where an encoder's rank errors concentrate, with confidence intervals.

With z the ranks standardised to mean 0 and variance 1, Spearman's rho is 1 - mean((z_predicted - z_gold)^2) / 2,
exactly. Every pair thus has a share in the loss 1 - rho, and the shares of disjoint slices add up. A slice needs no
correlation of its own, which would be low wherever its gold scores are close together.

The rules are for English and deliberately simple: anyone who sees a slice can tell why a pair is in it.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.statistics import Interval, blocks, drawn_counts, holm

_WORD = re.compile(r"[A-Za-z]+(?:['’][A-Za-z]+)?|\d+(?:[.,]\d+)*")
_DIGITS = re.compile(r"\d+(?:[.,]\d+)*")
_NUMBER_WORDS = frozenset(
    "zero two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion "
    "dozen half".split()
)
_NEGATIONS = frozenset(
    "no not never none nobody nothing nowhere neither nor without cannot hardly scarcely lacks lack".split()
)
_CALENDAR = frozenset(
    "january february april june july august september october november december monday tuesday wednesday thursday "
    "friday saturday sunday today tomorrow yesterday".split()
)
_YEAR = re.compile(r"\b(?:1[6-9]|20)\d\d\b|\b\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}\b")
_QUESTION_WORDS = frozenset("who what when where why how which whose do does did is are can could should".split())


@dataclass(frozen=True)
class Sentence:
    """One sentence with its properties for the rules."""

    text: str

    @cached_property
    def cased(self) -> list[str]:
        """Words and numbers as written."""
        return _WORD.findall(self.text)

    @cached_property
    def words(self) -> list[str]:
        """Words and numbers in lower case, in order."""
        return [word.lower().replace("’", "'") for word in self.cased]

    @cached_property
    def numbers(self) -> Counter[str]:
        """Numbers in digits or words. "One" is left out: it is mostly a pronoun."""
        return Counter(word for word in self.words if _DIGITS.fullmatch(word) or word in _NUMBER_WORDS)

    @cached_property
    def dates(self) -> frozenset[str]:
        """Weekdays, months (not "may" and "march", which are mostly verbs), years and dates in digits."""
        return frozenset(_YEAR.findall(self.text)) | (_CALENDAR & set(self.words))

    @cached_property
    def names(self) -> frozenset[str]:
        """Capitalised words that do not begin the sentence, in lower case; none where every word is capitalised."""
        later = self.cased[1:]
        capitalised = [word for word in later if word[0].isupper() and word != "I" and not word.startswith("I'")]
        letters = [word for word in later if word[0].isalpha()]
        if len(letters) > 2 and len(capitalised) > 0.6 * len(letters):
            return frozenset()  # a headline: its capitals carry no information
        return frozenset(word.lower() for word in capitalised)

    @cached_property
    def is_negated(self) -> bool:
        """Whether a negating word or a contraction in n't occurs."""
        return any(word in _NEGATIONS or word.endswith("n't") for word in self.words)

    @cached_property
    def is_question(self) -> bool:
        """Whether it ends in a question mark, or begins like a question and ends without punctuation."""
        text = self.text.rstrip()
        starts = bool(self.words) and self.words[0] in _QUESTION_WORDS
        return text.endswith("?") or (starts and text[-1:].isalnum())


def word_overlap(first: Sentence, second: Sentence) -> float:
    """Jaccard overlap of the two sets of words, 0..1; two sentences without words share nothing."""
    one, two = set(first.words), set(second.words)
    return len(one & two) / len(one | two) if one | two else 0.0


def same_words_reordered(first: Sentence, second: Sentence) -> bool:
    """Whether both sentences hold the same words equally often, in another order."""
    return first.words != second.words and Counter(first.words) == Counter(second.words)


_SHORT_WORDS, _LONG_WORDS = 8, 20


def slice_members(
    sentence1: Sequence[str],
    sentence2: Sequence[str],
    gold: np.ndarray | Sequence[float],
    subset: Sequence[str],
    *,
    source: Sequence[str] | None = None,
) -> dict[tuple[str, str], np.ndarray]:
    """Return the members of every automatic slice: (group, name) -> bool (n,). A pair may be in many slices.

    gold: float (n,), or empty for no gold bands. source: where each pair comes from; empty if unknown.
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
    """Five equal bands of the task's own scale, from its lowest to its highest gold score."""
    if len(gold) == 0 or np.ptp(gold) == 0:
        return {}
    edges = np.linspace(gold.min(), gold.max(), 6)
    band = np.clip(np.searchsorted(edges, gold, side="right") - 1, 0, 4)
    return {("gold", f"gold {edges[i]:.2g} to {edges[i + 1]:.2g}"): band == i for i in range(5)}


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
    """Score minus the score of all other pairs."""
    cost: float
    """Gain in the task's Spearman if these pairs scored like the others; negative if they score better."""


def rank_losses(predicted: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """Return each pair's share in 1 - Spearman, float64 (n,), at least 0; the mean is 1 - rho, ties included.

    predicted, gold: float (n,). All NaN where rho is undefined: fewer than two pairs, or one side constant.
    """
    if len(predicted) != len(gold):
        raise ValueError(f"expected equally many predictions and gold scores, got {len(predicted)} and {len(gold)}")
    if len(gold) < 2 or np.ptp(predicted) == 0 or np.ptp(gold) == 0:
        return np.full(len(gold), np.nan)
    return (_standard_ranks(predicted) - _standard_ranks(gold)) ** 2 / 2


def score_slices(
    members: dict[tuple[str, str], np.ndarray],
    losses: np.ndarray,
    *,
    linked: np.ndarray,
    seed: int,
    resamples: int = 1000,
    level: float = 0.95,
) -> list[SliceScore]:
    """Score slices against the rest of the task, the most costly first.

    The interval resamples clusters of the task's pairs, with the same resamples for every slice; ranks remain those
    of the whole task. The slices are judged together (`statistics.holm`). Slices with fewer than LEAST_PAIRS pairs
    inside or outside are left out.

    Args:
        members: (group, name) -> bool (n,).
        losses: float (n,), from `rank_losses`; all finite.
        linked: int (n,), from `statistics.clusters`: pairs that share a sentence are drawn together.
        seed: for the resampling.
        resamples: number of bootstrap samples.
        level: coverage of the interval.
    """
    n = len(losses)
    kept = {key: inside for key, inside in members.items() if LEAST_PAIRS <= inside.sum() <= n - LEAST_PAIRS}
    if not kept or not np.isfinite(losses).all():
        return []
    inside_ns = np.stack(list(kept.values()), axis=1).astype(np.float64)
    counts_bn = drawn_counts(np.random.default_rng(seed), linked, resamples)
    drawn_bs = _drawn_means(1 - inside_ns, losses, counts_bn, linked) - _drawn_means(
        inside_ns, losses, counts_bn, linked
    )
    means = [(float(losses[inside].mean()), float(losses[~inside].mean())) for inside in kept.values()]
    found = holm([Interval.of(rest - own, drawn_bs[:, i], level) for i, (own, rest) in enumerate(means)])
    rows = []
    for ((group, name), inside), (own, rest), difference in zip(kept.items(), means, found, strict=True):
        rows.append(
            SliceScore(
                name=name,
                group=group,
                pairs=int(inside.sum()),
                score=1 - own,
                difference=difference,
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
    linked: np.ndarray,
    seed: int,
    resamples: int = 1000,
    level: float = 0.95,
) -> list[SliceChange]:
    """Return the change of each slice's score between two encoders with a paired bootstrap interval, largest first.

    losses_before, losses_after: float (n,), from `rank_losses`; members, linked and the rest as in `score_slices`.
    """
    gained = losses_before - losses_after
    kept = {key: inside for key, inside in members.items() if inside.sum() >= LEAST_PAIRS}
    if not kept or not np.isfinite(gained).all():
        return []
    inside_ns = np.stack(list(kept.values()), axis=1).astype(np.float64)
    counts_bn = drawn_counts(np.random.default_rng(seed), linked, resamples)
    drawn_bs = _drawn_means(inside_ns, gained, counts_bn, linked)
    changes = holm([Interval.of(gained[o].mean(), drawn_bs[:, i], level) for i, o in enumerate(kept.values())])
    rows = [
        SliceChange(
            name=name,
            group=group,
            pairs=int(inside.sum()),
            before=1 - float(losses_before[inside].mean()),
            after=1 - float(losses_after[inside].mean()),
            change=change,
        )
        for ((group, name), inside), change in zip(kept.items(), changes, strict=True)
    ]
    return sorted(rows, key=lambda row: (not row.change.is_settled, -abs(row.change.value)))


def _drawn_means(inside_ns: np.ndarray, values: np.ndarray, counts_bn: np.ndarray, linked: np.ndarray) -> np.ndarray:
    """Return the mean of values, float (n,), in each slice and resample, float64 (resamples, slices).

    NaN where a resample contains no pair of a small slice, and for a slice whose pairs are all of one cluster: its
    mean would be the same in every draw.
    """
    parts = []
    for block in blocks(len(counts_bn)):
        counts = counts_bn[block].astype(np.float64)
        drawn = counts @ inside_ns
        parts.append(counts @ (inside_ns * values[:, None]) / np.where(drawn > 0, drawn, np.nan))
    means = np.concatenate(parts)
    means[:, [len(np.unique(linked[inside > 0])) < 2 for inside in inside_ns.T]] = np.nan
    return means


def _standard_ranks(values: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    ranks = rankdata(values)
    return (ranks - ranks.mean()) / ranks.std()
