"""Replies that got stuck: the same few words, or the same few letters, over and over."""

import re
from typing import Final

from pipeline.generation.copies import word_list

WORD_REPEATS: Final = 4
"""One word said this often in a row is a loop."""
PHRASE_REPEATS: Final = 3
"""Two or more words said this often in a row are a loop."""
_LETTERS: Final = re.compile(r"([^\W\d_]{1,4}?)\1{5,}", re.IGNORECASE)


def is_loop(text: str, premise: str) -> bool:
    """Whether the reply repeats itself in a row; not where its premise does the same."""
    return repeats_itself(text) and not repeats_itself(premise)


def repeats_itself(text: str) -> bool:
    """Whether a word, a phrase or a group of letters occurs several times in a row."""
    found = word_list(text)
    return bool(_LETTERS.search(text)) or any(
        _times(found, period) >= (WORD_REPEATS if period == 1 else PHRASE_REPEATS)
        for period in range(1, len(found) // PHRASE_REPEATS + 1)
    )


def _times(found: list[str], period: int) -> int:
    """Return how often a phrase of `period` words is said in a row at most."""
    longest = run = 0
    for word, later in zip(found, found[period:], strict=False):
        run = run + 1 if word == later else 0
        longest = max(longest, run)
    return longest // period + 1
