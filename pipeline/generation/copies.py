"""How close a reply is to its premise: equal, nearly equal, or another sentence."""

import re
from collections import Counter
from typing import Final
from unicodedata import normalize

from pipeline.records import Side

NEAR_COPY_OVERLAP: Final = 0.9
"""A positive that shares at least this much of its words with the premise (Dice) is a near copy."""
GUIDE_NEAR_COPY: Final = 0.98
"""Guide cosine from which a judged sentence counts as a near copy of its premise."""

_UNSPACED: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Thai, Lao, Burmese, Khmer, kana and Han are written without spaces: there each sign counts as a word."""
_WORD: Final = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+(?:['’][^\W{_UNSPACED}]+)*")
_LIGHT: Final = frozenset("a an the this that these those some very really just also".split())
"""English words whose coming and going leaves a sentence what it was."""


def words(text: str) -> str:
    """Return the letters and digits of a text, case folded: what is left when two texts are compared as copies.

    A text of signs alone (an emoji, say) has no letters; then its visible signs are compared instead.
    """
    folded = normalize("NFC", text).casefold()
    return "".join(sign for sign in folded if sign.isalnum()) or "".join(folded.split())


def word_list(text: str) -> list[str]:
    """Return the words of a text, case folded, in order; single signs where a script has no spaces."""
    return _WORD.findall(normalize("NFC", text).casefold())


def is_copy(text: str, premise: str) -> bool:
    """Whether both are equal up to case, punctuation and spaces."""
    return words(text) == words(premise)


def is_near_copy(text: str, premise: str, side: Side) -> bool:
    """Whether a reply says the premise again with almost the same words.

    Of both sides: the same words in the same order up to articles and plural endings. Of a positive also: the two
    bags of words overlap by NEAR_COPY_OVERLAP or more. Not so for a hard negative, where one word makes the sentence.
    """
    own, given = word_list(text), word_list(premise)
    if own and _weighty(own) == _weighty(given):
        return True
    return side is Side.POSITIVE and dice_overlap(own, given) >= NEAR_COPY_OVERLAP


def dice_overlap(one: list[str], other: list[str]) -> float:
    """Return the Dice overlap of two bags of words, in [0, 1]."""
    shared = sum((Counter(one) & Counter(other)).values())
    return 2 * shared / max(1, len(one) + len(other))


def _weighty(found: list[str]) -> list[str]:
    return [word[:-1] if len(word) > 3 and word.endswith("s") else word for word in found if word not in _LIGHT]
