"""From a raw reply to the sentence in it: what chat models write in front of it, around it and behind it is left out.

A sentence keeps its own colons, quotes and numbers. What could be either (a label, a bullet, an announcement) is
taken for part of the sentence where the premise begins in the same way.
"""

import re
from dataclasses import dataclass
from typing import Final

from pipeline.generation.prompts import CleanUp, SidePrompt
from pipeline.generation.unwrapping import has_words, unwrapped, without_reasoning, without_template
from pipeline.records import Outcome

_PAIRS: Final = ("**", "__", "*", "_", "`", '"', "'", ("“", "”"), ("‘", "’"), ("«", "»"), ("「", "」"))
_TAGGED: Final = re.compile(r"<(p|b|i|em|strong|q|span|div|li)>(.*)</\1>", re.IGNORECASE)
_BULLET: Final = re.compile(r"(?:[-*•>·▪◦–—→]|#{1,6}|\(?\d{1,2}[.)]|\(?[a-d]\))\s+")
_KIND: Final = (
    r"(?:paraphras(?:e|ed|ing)|re(?:writ(?:e|ing|ten)|phras(?:e|ed|ing)|word(?:ed|ing)|stat(?:ed|ement))|"
    r"contradict(?:ion|ory|ing|ed)|negat(?:ion|ed)|entail(?:ment|ed)|hypothesis|hard negative|opposite)"
)
_THING: Final = r"(?:sentence|version|statement|answer|output|response|result|reply|text|option|alternative)"
_LABEL: Final = (
    rf"(?:(?:the|a|an|my|your|one|possible|new|final|revised|similar|alternative|modified) )*"
    rf"(?:{_KIND}(?: {_THING})?|(?:sentence|version|answer|output|response|result|reply|option|alternative)|"
    rf"assistant|ai)(?: ?#?\d{{1,2}})?(?: ?\([^()]{{1,30}}\))?"
)
_MARKS: Final = r"[*_#`]{0,3}\s*"
_OPENER: Final = (
    r"(?:sure(?: thing)?|certainly|of course|okay|ok|absolutely|alright|all right|definitely|gladly|great|got it|"
    r"no problem|understood|yes|claro|por supuesto|bien s[ûu]r|natürlich|gerne?|конечно|当然(?:可以)?|"
    r"好的|もちろんです)"
)
_HERE: Final = r"(?:here(?:['’]s| is| are| you go)|below is|the following is)"
_IS: Final = r"(?: (?:is|are|would be|could be|might be|can be|reads))?(?: as follows)?"
_ANNOUNCED: Final = (
    rf"(?:{_HERE}|this is)\b[^:]{{0,60}}\b{_KIND}\b[^:]{{0,60}}|"
    rf"{_HERE}\b[^:]{{0,40}}\b{_THING}s?\b(?:,? (?:in|with|that|which|of|for|using|based|you)\b[^:]{{0,60}})?|"
    rf"(?:the|a|an|my|your|one)(?: \w+)? {_KIND}(?: {_THING})?(?: of [^:]{{1,60}})?{_IS}|"
    rf"(?:i (?:would|will|can|could)|you (?:could|can)|let(?:['’]s| me)) "
    rf"{_KIND} (?:it|this|that|the {_THING})\b[^:]{{0,40}}"
)
_PREAMBLE: Final = re.compile(
    rf"(?:{_OPENER}\b[^:]{{0,40}}?[\s,.!–—-]+)?(?:{_ANNOUNCED}|{_LABEL}):\s+", re.IGNORECASE
)
_LABELLED: Final = re.compile(rf"{_MARKS}{_LABEL}{_MARKS}\s*[:：]\s*{_MARKS}", re.IGNORECASE)
_OPENING_LINE: Final = re.compile(
    rf"{_MARKS}(?:{_OPENER}[\s,!.。！]*(?:(?:{_ANNOUNCED}|here (?:it is|you go))\W*)?|{_ANNOUNCED}|{_LABEL})\W*",
    re.IGNORECASE,
)
_ASKED: Final = ("original", "original sentence", "premise", "input", "user", "human", "source", "given sentence")
_COLONS: Final = (":", "：")


@dataclass(frozen=True, slots=True)
class Found:
    """The sentence of a reply."""

    text: str
    """One line; empty where there is none."""
    is_whole: bool = False
    """Whether it ended before the reply did, so that a reply cut at the token limit still holds all of it."""
    is_stopped: bool = False
    """Whether one of the prompt's stop strings ended it."""
    flaw: Outcome | None = None
    """Truncated where the reasoning never ended, malformed where something else than a sentence came."""


def sentence_in(
    raw: str, prompt: SidePrompt | None = None, *, premise: str = "", wanted: CleanUp | None = None
) -> Found:
    """Return the sentence that a reply gives.

    prompt: whose labels, stop strings and clean-up hold; wanted: another clean-up. premise: what begins like this
    keeps its label, bullet or announcement.
    """
    text, is_open = without_reasoning(raw)
    if is_open and not has_words(text):
        return Found("", flaw=Outcome.TRUNCATED)
    text, is_ended = without_template(text)
    held = unwrapped(text)
    if held is None:
        return Found("", flaw=Outcome.MALFORMED)
    lines = _Lines(prompt, premise, wanted or (prompt.clean_up if prompt else CleanUp()))
    found = lines.first(held[0])
    if is_ended or is_open or held[1]:
        return Found(found.text, is_whole=True, is_stopped=found.is_stopped, flaw=found.flaw)
    return found


class _Lines:
    """Looks through the lines of an answer for the first one that says something."""

    def __init__(self, prompt: SidePrompt | None, premise: str, wanted: CleanUp) -> None:
        self._premise, self._wanted = " ".join(premise.split()), wanted
        self._stops = prompt.stop if prompt else ()
        self._reply_label = prompt.reply_label.casefold() if prompt else ""
        self._premise_labels = (prompt.premise_label.casefold(), *_ASKED) if prompt else _ASKED

    def first(self, text: str) -> Found:
        lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
        text_ends = text.endswith(("\n", "\r"))
        for place, line in enumerate(lines):
            line, is_stopped = _until_stop(line, self._stops)
            rest = lines[place + 1 :]
            is_last = is_stopped or not any(map(has_words, rest))
            if not is_last and self._is_skipped(line, rest[0]):
                continue
            if is_last and has_words(line) and self._says_nothing(line):
                return Found("", is_stopped=is_stopped, flaw=Outcome.MALFORMED)
            return Found(self._peeled(line.strip()), is_whole=bool(rest) or text_ends, is_stopped=is_stopped)
        return Found("")

    def _is_skipped(self, line: str, following: str) -> bool:
        """Whether a line only leads to the next one."""
        if not has_words(line):
            return True
        if self._wanted.labels and self._label(line, self._premise_labels):
            return bool(self._label(following, (self._reply_label,)) or _LABELLED.match(following))
        if self._wanted.labels and self._says_only_label(line):
            return True
        bare = line.rstrip("*_` ")
        leads = bare.endswith(_COLONS) and not self._premise.endswith(_COLONS)
        return self._wanted.preambles and (leads or bool(_OPENING_LINE.fullmatch(line)))

    def _says_nothing(self, line: str) -> bool:
        """Whether an only line announces or labels a sentence that never comes."""
        if self._wanted.labels and self._says_only_label(line) and line.rstrip("*_` ").endswith(_COLONS):
            return True
        is_short = len(self._premise.split()) <= 3
        opening = self._wanted.preambles and _OPENING_LINE.fullmatch(line)
        return bool(opening) and not (is_short or _OPENING_LINE.fullmatch(self._premise))

    def _says_only_label(self, line: str) -> bool:
        label = line.strip("*_#`:： ").casefold()
        return label in (self._reply_label, *self._premise_labels) or (
            bool(_LABELLED.fullmatch(line.rstrip("*_` "))) and not has_words(_LABELLED.sub("", line, count=1))
        )

    def _peeled(self, text: str) -> str:
        """Take off what stands at the edges, layer by layer."""
        wanted, before = self._wanted, None
        while text != before:
            before = text
            if wanted.quotes and _without_pair(self._premise) == self._premise:
                text = _without_pair(text)
            if wanted.bullets:
                text = self._without(_BULLET, text)
            if wanted.labels:
                label = self._label(text, (self._reply_label, *self._premise_labels))
                text = text[label:].strip() if label else self._without(_LABELLED, text)
            if wanted.preambles:
                text = self._without(_PREAMBLE, text)
        return text

    def _without(self, pattern: re.Pattern[str], text: str) -> str:
        found = pattern.match(text)
        kept = text[found.end() :].strip() if found else ""
        return kept if has_words(kept) and not pattern.match(self._premise) else text

    def _label(self, line: str, labels: tuple[str, ...]) -> int:
        """Return where a line's text begins behind one of these labels; 0 where it has none of them."""
        for label in filter(None, labels):
            found = re.match(rf"{_MARKS}{re.escape(label)}{_MARKS}\s*[:：]\s*{_MARKS}", line, re.IGNORECASE)
            if found and not self._premise.casefold().startswith((f"{label}:", f"{label}：")):
                return found.end()
        return 0


def _without_pair(text: str) -> str:
    """Take off quotes or emphasis around the whole."""
    tagged = _TAGGED.fullmatch(text)
    if tagged:
        return tagged[2].strip()
    for pair in _PAIRS:
        first, last = (pair, pair) if isinstance(pair, str) else pair
        inner = text[len(first) : -len(last)]
        is_around = text.startswith(first) and text.endswith(last) and len(text) >= len(first) + len(last)
        if is_around and first not in inner and last not in inner:
            return inner.strip()
    return text


def _until_stop(line: str, stops: tuple[str, ...]) -> tuple[str, bool]:
    """Cut a line before the first stop string in it."""
    places = [place for stop in stops if (place := line.find(stop)) >= 0]
    return (line[: min(places)], True) if places else (line, False)
