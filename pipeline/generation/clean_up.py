"""From a raw reply to the sentence in it: what chat models write in front of it, around it and behind it is left out.

A sentence keeps its own colons, quotes and numbers. What could be either (a label, a bullet, an announcement) is
taken for part of the sentence where the premise begins in the same way.
"""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from pipeline.generation.prompts import CleanUp, SidePrompt
from pipeline.records import Outcome

_NAMES: Final = (
    r"think|thinking|thoughts?|reasoning|reflection|analysis|scratchpad|(?:inner_)?monologue|seed:think|antthinking|"
    r"chain_of_thought|cot|rationale"
)
_REASONING: Final = re.compile(
    rf"(?P<open><(?:{_NAMES})(?:\s[^<>]*)?(?<!/)>|\[think\]|◁think▷|<\|(?:begin_of_thought|start_thinking)\|>|"
    rf"<unused94>(?:thought\b)?|<\|channel>thought\b|\Ahere(?: is|'s) my thought process:)|"
    rf"(?P<close></(?:{_NAMES})>|\[/think\]|◁/think▷|<\|(?:end_of_thought|end_thinking)\|>|<unused95>|<channel\|>|"
    rf"^here(?: is|'s) my response:)|(?P<none><(?:{_NAMES})\s*/>)",
    re.IGNORECASE | re.MULTILINE,
)
_FINAL_CHANNEL: Final = re.compile(
    r"<\|channel\|>\s*final\b[^\n]*?<\|message\|>|\Aanalysis(?=[A-Z]).*assistantfinal", re.S
)
_OTHER_CHANNEL: Final = re.compile(r"<\|channel\|>|\Aanalysis(?=[A-Z])")

_TOKEN: Final = re.compile(
    r"<\|?(?:start|end)_of_turn\|?>|<\|[^<>|\n]{1,40}\|?>|<turn\|>|<｜[^<>｜\n]{1,40}｜>|</?s>|<(?:bos|eos|pad|unk)>|"
    r"\[/?INST\]|<</?SYS>>"
)
_ROLE: Final = re.compile(
    r"\s*(assistant|model|user|system|human|tool|developer)[ \t]*:?[ \t]*(?:\n|\Z)", re.IGNORECASE
)
_ASKERS: Final = frozenset({"user", "system", "human", "tool", "developer"})
_ASKING_TOKENS: Final = frozenset({"<|user|>", "<|system|>", "<｜User｜>", "[INST]", "<<SYS>>", "<</SYS>>"})
_ANSWER: Final = re.compile(
    r"<(answer|final_answer|final|response|output|result|solution|sentence|paraphrase|contradiction|hypothesis|"
    r"(?:new|paraphrased|rewritten)_sentence)>(.*?)(?P<end></\1>|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_BOXED: Final = re.compile(r"\\boxed\{(?:\\text\{)?([^{}]*)\}?(?P<end>\})")
_FENCE: Final = re.compile(r"(?:```|~~~)([\w+-]*[ \t]*\n|json\b|)(.*?)(?P<end>```|~~~|\Z)", re.DOTALL)
_PLAIN_FENCES: Final = frozenset({"", "json", "text", "txt", "plaintext", "plain", "markdown", "md", "sentence"})
_OBJECT: Final = re.compile(r"^[ \t]*(?=\{\s*[\"'“]|\[\s*[\"'{])", re.MULTILINE)
_FIELD: Final = re.compile(r"[\"'](\w[\w -]*)[\"']\s*:\s*\"((?:[^\"\\]|\\.)*)\"", re.DOTALL)
_ECHO: Final = re.compile(
    r"origin|premise|input|source|prompt|reason|explan|thought|analysis|instruction|note|comment|label|language|type",
    re.IGNORECASE,
)
_WANTED: Final = re.compile(
    r"paraphras|rewr|rephras|reword|contradict|negat|positive|hypothesis|answer|output|result|response|sentence|text",
    re.IGNORECASE,
)


def without_reasoning(text: str) -> tuple[str, bool]:
    """Return a reply without the model's reasoning, and whether the reasoning never ended.

    A closing tag without an opening one ends reasoning that the chat template had opened.
    """
    finals = list(_FINAL_CHANNEL.finditer(text))
    if finals:
        return text[finals[-1].end() :], False
    channel = _OTHER_CHANNEL.search(text)
    if channel:
        return text[: channel.start()], True
    kept: list[str] = []
    place, is_inside = 0, False
    for mark in _REASONING.finditer(text):
        if not is_inside:
            kept.append(text[place : mark.start()])
        if mark["close"]:
            kept = kept if is_inside else []
            is_inside = False
        elif mark["open"]:
            is_inside = True
        place = mark.end()
    return "".join(kept) if is_inside else "".join([*kept, text[place:]]), is_inside


def is_template_token(text: str) -> bool:
    """Whether a text is one special token of a chat template."""
    return bool(_TOKEN.fullmatch(text.strip()))


def thinks_aloud(text: str) -> bool:
    """Whether a text holds any tag of a model's reasoning."""
    return bool(_REASONING.search(text))


def open_thought(text: str) -> str:
    """Return the tag at the end of a text that opens a thought, with the blanks behind it; empty for none."""
    last = next(reversed(list(_REASONING.finditer(text))), None)
    return text[last.start() :] if last and last["open"] and not text[last.end() :].strip() else ""


def without_template(text: str) -> tuple[str, bool]:
    """Return what the model says in its own first turn, and whether a token of its chat template ended that."""
    marks = list(_TOKEN.finditer(text))
    if not marks:
        return text, False
    is_asked = False
    for number, start in enumerate([0, *(mark.end() for mark in marks)]):
        token = marks[number - 1][0] if number else ""
        part = text[start : marks[number].start() if number < len(marks) else len(text)]
        role = _ROLE.match(part) if token else None
        is_asked = token in _ASKING_TOKENS or bool(role and role[1].casefold() in _ASKERS)
        said = part[role.end() :] if role else part
        if not is_asked and has_words(said):
            return said, number < len(marks)
    return "", True


def unwrapped(text: str) -> tuple[str, bool] | None:
    """Return what answer tags, a code block or JSON hold, and whether they were closed; None for code without text.

    Text that has none of these comes back as it is, with False.
    """
    whole = False
    for pattern, group in ((_ANSWER, 2), (_BOXED, 1)):
        found = [match for match in pattern.finditer(text) if has_words(match[group])]
        if found:
            text, whole = found[-1][group], bool(found[-1]["end"])
    fences = [match for match in _FENCE.finditer(text) if has_words(match[2])]
    if fences:
        if fences[0][1].strip().casefold() not in _PLAIN_FENCES:
            return None
        text, whole = fences[0][2], bool(fences[0]["end"])
    start = _OBJECT.search(text)
    if not start:
        return text, whole
    sentence = _in_json(text[start.end() :])
    return (sentence, True) if sentence is not None else None


def has_words(text: str) -> bool:
    """Whether a text holds a letter or digit of any script."""
    return any(sign.isalnum() for sign in text)


def _in_json(text: str) -> str | None:
    """Return the sentence of a JSON value, or of its fields where it is not quite JSON."""
    try:
        return _chosen(json.JSONDecoder(strict=False).raw_decode(text)[0])
    except ValueError:
        pass
    try:
        return _chosen(ast.literal_eval(text[: max(text.rfind("}"), text.rfind("]")) + 1]))
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return _chosen({name: value.replace('\\"', '"') for name, value in _FIELD.findall(text)})


def _chosen(value: Any) -> str | None:
    """Return the one text that is meant; None where there is none, or where several could be."""
    texts = [(name, text) for name, text in _texts(value) if has_words(text) and not _ECHO.search(name)]
    if len(texts) > 1 and isinstance(value, dict):
        texts = next(([one] for one in texts if _WANTED.search(one[0])), [])
    return texts[0][1] if texts else None


def _texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _texts(part, str(key))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part, name)


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
