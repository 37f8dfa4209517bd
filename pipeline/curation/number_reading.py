"""Find the number between 0 and 5 in a model's answer, however it is written; none where several are possible."""

import re
import unicodedata
from typing import Final

from pipeline.generation.clean_up import has_words, without_reasoning, without_template

_WORDS: Final = {word: str(value) for value, word in enumerate(("zero", "one", "two", "three", "four", "five"))}
_NUMBER: Final = (
    r"(?<![\w.,])(?<!\d[-–—])(?P<sign>[-−]?)(?P<value>\d+(?:[.,]\d+)?)"
    r"(?:\s*(?P<half>½|and a half\b))?(?![\w%]|[.,]\d)"
)
_WORD: Final = rf"\b(?P<word>{'|'.join(_WORDS)})\b(?P<more>(?: and a half| point (?:{'|'.join(_WORDS)}))?)"
_DASH: Final = r"\s*(?:-|–|—|\.{2,3}|…|to|and|through|up to)\s*"
_NOTE: Final = r"\s*(?:\([^()]{0,60}\)|=\s*[\w ]{1,40}?)?"
_SCALES: Final = (
    re.compile(rf"(?<![\w.,])[01]{_NOTE},?{_DASH}5(?![\w.,]*\d){_NOTE}", re.IGNORECASE),
    re.compile(r"(?<=[\d.½])\s*(?:/|out of|of)\s*5(?:\.0)?(?![\w.]*\d)", re.IGNORECASE),
    re.compile(r"(?<=[a-z])\s+(?:out of|/)\s*(?:5|five)\b", re.IGNORECASE),
)
_NAMED: Final = re.compile(
    r"\b(?:sentences?|texts?|statements?|pairs?|examples?|steps?|premise|s)\s*#?\(?\d+\)?", re.IGNORECASE
)
_PERCENT: Final = re.compile(r"\d+(?:[.,]\d+)?\s*(?:%|percent\b)", re.IGNORECASE)
_LIST: Final = re.compile(r"^\s*(\d+)[.)]\s+(?=\D)", re.MULTILINE)
_LINK: Final = (
    r"(?:[\s:=*_\"'`~(\[{-]|\b(?:is|of|be|as|would|should|will|it|this|that|them|the|these|those|both|two|pair|sentences|"
    r"pairs?|a|an|at|with|about|around|approximately|roughly|exactly|similarity|score|rating)\b)*?"
)
_LABEL: Final = (
    r"\b(?:score[sd]?|rating|rate[sd]?|similarity|grade|answer|verdict|result|value|give|say|assign|choose|pick|estimate|"
    r"boxed)\b"
)
_SEVERAL: Final = re.compile(r"\s*(?:-|–|—|/|or|to)\s*\d", re.IGNORECASE)


def number_in_words(text: str) -> float | None:
    """Return the number in 0..5 that an answer gives; None for no number, another scale, or several that differ.

    A number that is called the score or rating, stands alone on a line or in bold counts before all others.
    """
    text, is_open = without_reasoning(text)
    if is_open and not has_words(text):
        return None
    plain = unicodedata.normalize("NFC", without_template(text)[0])
    plain = "".join(str(unicodedata.digit(sign)) if sign.isdecimal() else sign for sign in plain)
    for scale in _SCALES:
        plain = scale.sub(" ", plain)
    plain = _PERCENT.sub(" ", _NAMED.sub(" ", plain))
    if _LIST.findall(plain)[:2] == ["1", "2"]:
        plain = _LIST.sub("", plain)
    for pattern in _PATTERNS:
        found = list(pattern.finditer(plain))
        if found:
            values = {None if _SEVERAL.match(plain, one.end()) else _value(one) for one in found}
            return values.pop() if len(values) == 1 else None
    return None


def _value(found: re.Match[str]) -> float | None:
    parts = found.groupdict()
    if parts.get("word"):
        more = parts["more"].split()
        after = ".5" if more[:1] == ["and"] else f".{_WORDS[more[1].lower()]}" if more else ""
        value = float(_WORDS[parts["word"].lower()] + after)
    else:
        value = float(parts["value"].replace(",", ".")) + (0.5 if parts["half"] else 0.0)
    return None if parts.get("sign") or value > 5 else value


_PATTERNS: Final = (
    re.compile(rf"[\"'](?:score|rating|similarity)[\"']\s*:\s*[\"']?{_NUMBER}", re.IGNORECASE),
    re.compile(rf"{_LABEL}{_LINK}{_NUMBER}", re.IGNORECASE),
    re.compile(rf"^[\s*_`\"'#>{{\[(]*{_NUMBER}[\s*_`\"'.!}}\])]*$", re.IGNORECASE | re.MULTILINE),
    re.compile(rf"\*\*\s*{_NUMBER}\s*\*\*"),
    re.compile(rf"{_LABEL}{_LINK}{_WORD}", re.IGNORECASE),
    re.compile(_NUMBER, re.IGNORECASE),
    re.compile(rf"{_WORD}(?=\s*(?:[.,;:!)*_\"']|$))", re.IGNORECASE | re.MULTILINE),
)
"""From the surest to the least sure; the first that fits decides."""
