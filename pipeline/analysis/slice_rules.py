"""What can be said about a sentence pair by looking at its words: the rules behind the automatic slices.

English rules, cheap and visible on purpose: a person who sees a slice should be able to say why a pair is in it.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

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
    """One sentence with what the rules see in it."""

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
            return frozenset()  # a headline: its capitals say nothing
        return frozenset(word.lower() for word in capitalised)

    @cached_property
    def is_negated(self) -> bool:
        """Whether a negating word or a contraction in n't occurs."""
        return any(word in _NEGATIONS or word.endswith("n't") for word in self.words)

    @cached_property
    def is_question(self) -> bool:
        """Whether it ends in a question mark, or begins as a question does and ends in no mark at all."""
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
