"""Which pairs of a task belong to which automatic slice: rules over the words of both sentences, and gold bands."""

from collections.abc import Callable, Sequence

import numpy as np

from pipeline.analysis.pair_rules import Sentence, same_words_reordered, word_overlap

_SHORT_WORDS, _LONG_WORDS = 8, 20


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
