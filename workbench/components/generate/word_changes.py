"""What differs between two sentences, word by word."""

from difflib import SequenceMatcher
from itertools import groupby

from workbench.components.text import plain


def changed_words(text: str, base: str) -> list[tuple[str, bool]]:
    """Split a sentence into its words, each with whether it is not part of what it shares with the other, in order.

    Words are compared in any case and without the marks around them.
    """
    words = text.split()
    matcher = SequenceMatcher(None, [_bare(w) for w in words], [_bare(w) for w in base.split()], autojunk=False)
    shared = {start + offset for start, _, size in matcher.get_matching_blocks() for offset in range(size)}
    return [(word, place not in shared) for place, word in enumerate(words)]


def marked(text: str, base: str, *, colour: str) -> str:
    """Markdown of a sentence whose differing words stand out, those in a row together."""
    parts = []
    for changed, group in groupby(changed_words(text, base), key=lambda pair: pair[1]):
        words = plain(" ".join(word for word, _ in group))
        parts.append(f":{colour}-background[{words}]" if changed else words)
    return " ".join(parts)


def _bare(word: str) -> str:
    return word.casefold().strip(".,;:!?\"'“”‘’()[]") or word
