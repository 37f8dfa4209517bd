"""Looking for text in triplets: one lower-cased column is read in place of three, and few rows are looked at twice.

At a million triplets a scan costs more than the comparison: unpacking the sentences takes most of it. The column
`search` holds all three, with a control character in between. The comparison jumps from one place of the text's first
letter to the next, so it is asked first for the part that begins with the rarest letter: "shelf 4242" by "4242".
"""

import re
from typing import Any, Final

import duckdb

from pipeline.errors import InputError

_SENTENCES: Final = ("premise", "positive", "hard_negative")
_FREQUENT: Final = " etaoinsrhldcumfgpywbvk"
"""Letters by their frequency in English text; what is not here is rarer."""
_OPAQUE: Final = re.compile(r"[|()]|\[:|\\[^dDwWsSbB\W]")
"""Alternatives, groups, flags, named classes, and escapes that stand for other letters."""
_SPECIAL: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]])*\]|\{[^}]*\}|[.^$*+?\[\]{}]")
_SURE_LETTERS: Final = 3
"""Shorter certain text of a pattern would leave most rows anyway."""


def containing(text: str) -> tuple[str, list[Any]]:
    """Return a condition on triplets t: the text occurs in a sentence, in any case. No text is no condition."""
    if not text:
        return "", []
    rare = _from_rarest(text)
    clause = "contains(t.search, lower(?))"
    if rare == text:
        return clause, [text]
    return f"({clause} AND {clause})", [rare, text]


def matching(pattern: str) -> tuple[str, list[Any]]:
    """Return a condition on triplets t: the regular expression (RE2) matches in a sentence, case and all."""
    if not pattern:
        return "", []
    found = "(" + " OR ".join(f"regexp_matches(t.{field}, ?)" for field in _SENTENCES) + ")"
    values = [pattern] * len(_SENTENCES)
    clause, sure = containing(certain_text(pattern))
    return (f"({clause} AND {found})", sure + values) if clause else (found, values)


def certain_text(pattern: str) -> str:
    """Return the longest text that every match of this pattern contains, as far as that is easily seen, else no text.

    Alternatives, groups and the like are not looked into.
    """
    if _OPAQUE.search(pattern):
        return ""
    parts, last = [""], 0
    for special in _SPECIAL.finditer(pattern):
        parts[-1] += pattern[last : special.start()]
        last = special.end()
        if special[0][0] in "*?{" and parts[-1]:  # the letter before may be missing
            parts[-1] = parts[-1][:-1]
        parts.append("")
    parts[-1] += pattern[last:]
    longest = max(parts, key=len)
    return longest if len(longest) >= _SURE_LETTERS else ""


def checked_pattern(cursor: duckdb.DuckDBPyConnection, pattern: str) -> None:
    """Raise InputError when this is no regular expression."""
    try:
        cursor.execute("SELECT regexp_matches('', ?)", [pattern]).fetchall()
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{pattern} is no regular expression ({reason}); correct it or search for text.") from error


def _from_rarest(text: str) -> str:
    """Return the end of the text that begins with its rarest letter; of equally rare ones with the first."""
    ranks = [_FREQUENT.find(letter) for letter in text.lower()]
    if len(ranks) != len(text):  # a letter that becomes two in lower case
        return text
    rarest = min(range(len(text)), key=lambda place: (ranks[place] >= 0, -ranks[place]))
    return text[rarest:]
