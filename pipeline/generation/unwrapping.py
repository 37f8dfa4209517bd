"""What surrounds the answer of a chat model: its reasoning, tokens of its chat template, answer tags, code, JSON.

None of it is ever part of a sentence, so it is taken off whatever a prompt's clean-up says. Sources: the chat
templates and reasoning parsers of DeepSeek R1, Qwen3, Magistral, gpt-oss (harmony), Granite, Command A, Kimi, Seed,
EXAONE, Hunyuan, Llama 2 to 4, Gemma, Mistral and Phi.
"""

import ast
import json
import re
from collections.abc import Iterator
from typing import Any, Final

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
