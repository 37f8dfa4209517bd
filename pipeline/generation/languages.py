"""Whether a reply is written in its premise's script and language."""

import unicodedata
from collections import Counter
from functools import cache, lru_cache
from typing import Any, Final

from pipeline.generation.copies import word_list

FOREIGN_LETTERS: Final = 0.5
"""Share of letters in scripts that the premise does not use, from which a reply is in the wrong script."""
LEAST_WORDS: Final = 4
"""Shorter texts are not told apart by language: names and single words look like many languages."""
SURE: Final = 0.5
"""Least probability of a text's best language for it to count."""
DOUBT: Final = 0.02
"""A reply whose probability of being in the premise's language is above this is taken to be in it."""
_JAPANESE: Final = frozenset({"HIRAGANA", "KATAKANA"})
_WIDTHS: Final = ("FULLWIDTH", "HALFWIDTH", "MODIFIER", "MATHEMATICAL")


def is_other_language(text: str, premise: str) -> bool:
    """Whether the reply is in another script than its premise, or clearly in another language."""
    return is_other_script(text, premise) or _is_other_language(text, premise)


def is_other_script(text: str, premise: str) -> bool:
    """Whether more than half of the letters belong to scripts that the premise does not use."""
    known, found = scripts(premise), scripts(text)
    if not known or not found:
        return False
    allowed = set(known) | ({"CJK"} if _JAPANESE & set(known) else set())
    foreign = sum(count for script, count in found.items() if script not in allowed)
    return foreign > FOREIGN_LETTERS * found.total()


def scripts(text: str) -> Counter[str]:
    """Count the letters of a text by script, under the words that Unicode's names begin with."""
    return Counter(script for sign in text if sign.isalpha() and (script := _script(sign)))


@lru_cache(maxsize=4096)
def _script(sign: str) -> str:
    parts = unicodedata.name(sign, "").split()
    while parts and parts[0] in _WIDTHS:
        parts = parts[1:]
    return parts[0] if parts else ""


def _is_other_language(text: str, premise: str) -> bool:
    if min(len(word_list(text)), len(word_list(premise))) < LEAST_WORDS:
        return False
    language, sureness = _ranked(premise)[0]
    replied = _ranked(text)
    return sureness >= SURE and replied[0][1] >= SURE and dict(replied).get(language, 0.0) < DOUBT


def _ranked(text: str) -> list[tuple[str, float]]:
    """Languages with their probabilities, the likeliest first."""
    return _identifier().rank(text)


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
