"""What can be said about a sentence pair by looking at its words: the rules behind the automatic slices.

English rules, cheap and visible on purpose: a person who sees a slice should be able to say why a pair is in it.
"""

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

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
