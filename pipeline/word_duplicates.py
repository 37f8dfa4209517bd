"""Nearly equal texts by their words, one new text at a time: Jaccard similarity of sets of words, exactly.

`curation.ngram_duplicates` finds all near pairs of a whole set at once, by letter sequences.
Comparing with every earlier text would be quadratic. Two sets with Jaccard similarity of at least t share a word
among the first n - ceil(t n) + 1 of n words in any fixed order (prefix filtering; Chaudhuri et al. 2006, Bayardo et
al. 2007), so only texts that share such a word are compared. Long words come first in the order, as they are rare.
"""

import math
import re
from collections import defaultdict
from unicodedata import normalize

_WORD = re.compile(r"\w+")


class WordDuplicates:
    """Texts seen so far; `find` says which of them a new text nearly repeats."""

    def __init__(self, threshold: float = 0.7) -> None:
        """Take two texts as near duplicates when their words overlap by at least this, in (0, 1]."""
        if not 0 < threshold <= 1:
            raise ValueError(f"threshold must lie above 0 and at most 1, got {threshold}")
        self._threshold = threshold
        self._texts: list[str] = []
        self._words: list[frozenset[str]] = []
        self._by_word: defaultdict[str, list[int]] = defaultdict(list)

    def find(self, text: str) -> str | None:
        """Return the first text added before that this one equals or nearly repeats, or None."""
        words = word_set(text)
        candidates = {number for word in self._first(words) for number in self._by_word.get(word, ())}
        near = (number for number in candidates if jaccard(words, self._words[number]) >= self._threshold)
        first = min(near, default=None)
        return None if first is None else self._texts[first]

    def add(self, text: str) -> None:
        """Remember a text."""
        words = word_set(text)
        for word in self._first(words):
            self._by_word[word].append(len(self._texts))
        self._texts.append(text)
        self._words.append(words)

    def _first(self, words: frozenset[str]) -> list[str]:
        ordered = sorted(words, key=lambda word: (-len(word), word))
        return ordered[: len(ordered) - math.ceil(self._threshold * len(ordered) - 1e-9) + 1]


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text, case folded; a text of signs alone counts as one word."""
    return frozenset(_WORD.findall(normalize("NFC", text).casefold())) or frozenset([text.strip()])


def jaccard(left: frozenset[str], right: frozenset[str]) -> float:
    """Return the share of common words among all words of two texts."""
    return len(left & right) / len(left | right)
