"""The two forms of a prompt, made of the same parts: one text to go on from, or turns in the model's chat template.

Chat templates are rendered by transformers itself, also those of GGUF files and whatever runs the model. What a
person or a corpus wrote never becomes a special token: only those of the template are.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from pipeline.generation.clean_up import open_thought, thinks_aloud
from pipeline.generation.prompts import FewShot
from pipeline.records import InputError

Message = dict[str, str]
THINKING_OFF: Final[dict[str, Any]] = {
    "enable_thinking": False,
    "thinking": False,
    "thinking_budget": 0,
    "reasoning_effort": "low",
}
"""What templates call their switches; one that does not know a name ignores it."""
_DATE: Final = "26 Jul 2024"
"""Llama's own default: a prompt that named the day would be another one tomorrow."""
_QUESTION: Final = "\ue000question\ue001"
_REPLY: Final = "\ue000reply\ue001"
_BEGINNINGS: Final = ("A dog", "7 dogs", "“Dogs", "dogs", "¿")
"""Questions that begin in different ways: the tokens before all of them do not depend on the question."""
_HARMONY: Final = re.compile(r"<\|start\|>assistant\Z")
_FINAL_CHANNEL: Final = "<|channel|>final<|message|>"
"""What leads gpt-oss straight to its answer."""


class Spelling(Protocol):
    """What turns texts into tokens."""

    def tokenize(self, text: str, *, marked: bool = False) -> list[int]:
        """Return the tokens of a text; marked: special tokens written in it are meant."""
        ...


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """A model's own chat template, and the special tokens it names (bos_token and so on)."""

    source: str
    names: dict[str, str] = field(default_factory=dict, hash=False)

    def render(self, messages: Sequence[Message], *, prefill: str = "") -> str:
        """Return the text of these turns and the beginning of the assistant's, thinking switched off where it can be.

        Raises InputError where the template refuses them.
        """
        from transformers.utils.chat_template_utils import render_jinja_template

        ending: dict[str, Any] = {"add_generation_prompt": True}
        if prefill:
            messages = [*messages, {"role": "assistant", "content": prefill}]
            ending = {"continue_final_message": True}
        known = self.names | THINKING_OFF | {"date_string": _DATE}
        try:
            rendered: Any = render_jinja_template([list(messages)], chat_template=self.source, **ending, **known)
        except Exception as error:  # jinja2's own, and whatever a template raises
            said = " ".join(str(error).split())[:160]
            raise InputError(f"The chat template cannot be used ({said}): choose the completion form.") from error
        return str(rendered[0][0])


def turns(asked: FewShot, question: str) -> Iterator[list[Message]]:
    """Yield the messages that ask a question, the best first; each later one suits stricter templates.

    With a system's message; with the instruction in the first user's turn; everything in a single turn.
    """
    shots: list[Message] = []
    for example, reply in asked.examples:
        shots += [{"role": "user", "content": example}, {"role": "assistant", "content": reply}]
    shots.append({"role": "user", "content": question})
    if not asked.instruction:
        yield shots
    else:
        yield [{"role": "system", "content": asked.instruction}, *shots]
        yield [{"role": "user", "content": f"{asked.instruction}\n\n{shots[0]['content']}"}, *shots[1:]]
    yield [{"role": "user", "content": asked.prefix() + asked.tail(question)}]


class Form(ABC):
    """How one LLM is asked: shared tokens of a prompt, tokens of a question, what ends a reply."""

    name: str
    lead: str
    """What stands between a prompt and a given reply."""
    ends_at_line: bool
    """Whether a line break ends a reply."""
    thinks = False
    """Whether a reply may begin with a thought, which has a budget of its own."""

    @abstractmethod
    def texts(self, asked: FewShot, question: str, *, given: bool = False) -> tuple[str, str]:
        """Return the text that all questions share, and the rest with this question, as the LLM reads them.

        given: the reply is known, so that a thought which the template opens is closed again.
        """

    @abstractmethod
    def shared(self, asked: FewShot, *, given: bool = False) -> tuple[int, ...]:
        """Return the tokens that all questions share; see texts."""

    @abstractmethod
    def own(self, asked: FewShot, question: str, *, given: bool = False) -> list[int]:
        """Return the tokens of a question, which follow the shared ones; see texts."""

    def began(self, asked: FewShot) -> str:
        """Return what the prompt already wrote of the reply: a thought's opening tag, a prefill."""
        return ""

    def ends(self) -> frozenset[int]:
        """Return tokens that end a reply beside the model's own."""
        return frozenset()


class CompletionForm(Form):
    """One text: instruction, examples, question."""

    name, lead, ends_at_line = "completion", " ", True

    def __init__(self, spelling: Spelling, start: tuple[int, ...] = ()) -> None:
        """start: tokens that every text of this model begins with."""
        self._spelling, self._start = spelling, start

    def texts(self, asked: FewShot, question: str, *, given: bool = False) -> tuple[str, str]:
        """Return the parts of the text; see Form."""
        return asked.prefix(), asked.tail(question)

    def shared(self, asked: FewShot, *, given: bool = False) -> tuple[int, ...]:
        """Return the tokens before the question; the two parts are tokenized apart."""
        return (*self._start, *self._spelling.tokenize(asked.prefix()))

    def own(self, asked: FewShot, question: str, *, given: bool = False) -> list[int]:
        """Return the tokens of the question."""
        return self._spelling.tokenize(asked.tail(question))


@dataclass(frozen=True, slots=True)
class _Frame:
    """A rendered prompt around its question, and the tokens that do not depend on it."""

    before: str
    after: str
    tokens: tuple[int, ...] = ()


class ChatForm(Form):
    """Turns of user and assistant in the model's chat template."""

    name, lead, ends_at_line = "chat", "", False

    def __init__(self, template: ChatTemplate, spelling: Spelling | None = None, start: tuple[int, ...] = ()) -> None:
        """start: tokens that the model's texts begin with, put there where the template does not.

        spelling: None where only the texts are wanted. Raises InputError for a template that cannot be rendered.
        """
        self.template, self._spelling, self._start = template, spelling, start
        self._frames: dict[tuple[FewShot, bool], _Frame] = {}
        plain = FewShot("")
        self._opening = open_thought(self._around(plain)[1])
        self.thinks = bool(self._opening) or (thinks_aloud(template.source) and not thinks_aloud(self.after(plain)))

    def after(self, asked: FewShot) -> str:
        """Return what the template writes between question and reply."""
        return self._around(asked)[1]

    def texts(self, asked: FewShot, question: str, *, given: bool = False) -> tuple[str, str]:
        """Return the rendered text, cut before the question; see Form."""
        before, after = self._around(asked, given=given)
        return before, f"{question}{after}"

    def shared(self, asked: FewShot, *, given: bool = False) -> tuple[int, ...]:
        """Return the tokens at the beginning that are the same for every question."""
        return self._frame(asked, given).tokens

    def own(self, asked: FewShot, question: str, *, given: bool = False) -> list[int]:
        """Return the tokens that follow the shared ones, exactly those of the whole rendered text.

        A question that spells a special token is tokenized apart from the template, as plain text.
        """
        frame = self._frame(asked, given)
        spell = self._spell
        whole = self._begun(spell(f"{frame.before}{question}{frame.after}"))
        shared = len(frame.tokens)
        is_plain = spell(question) == spell(question, marked=False)
        if is_plain and tuple(whole[:shared]) == frame.tokens:
            return whole[shared:]
        around = self._begun(spell(frame.before))[shared:], spell(frame.after)
        return [*around[0], *spell(question, marked=False), *around[1]]

    def began(self, asked: FewShot) -> str:
        """Return the prefill, or the tag of a thought that the template opens."""
        return asked.prefill or self._opening

    def ends(self) -> frozenset[int]:
        """Return the token with which the template ends an assistant's turn, if it is a special one."""
        messages = [{"role": "user", "content": _QUESTION}, {"role": "assistant", "content": _REPLY}]
        try:
            closed = self.template.render([*messages, {"role": "user", "content": _QUESTION}])
        except InputError:
            return frozenset()
        closing = closed.partition(_REPLY)[2].partition(_QUESTION)[0].lstrip()
        marked = self._spell(closing)[:1]
        return frozenset(marked) if marked and marked != self._spell(closing, marked=False)[:1] else frozenset()

    def _around(self, asked: FewShot, *, given: bool = False) -> tuple[str, str]:
        """Return the rendered text before and after the question. Raises InputError where no way of asking fits."""
        problem: InputError | None = None
        for messages in turns(asked, _QUESTION):
            try:
                text = self.template.render(messages, prefill=asked.prefill)
            except InputError as error:
                problem = problem or error
                continue
            said = [asked.instruction, *(part for pair in asked.examples for part in pair)]
            if text.count(_QUESTION) == 1 and all(part.strip() in text for part in said):
                before, _, after = text.partition(_QUESTION)
                return before, self._answering(after, given=given and not asked.prefill)
        raise problem or InputError("The chat template leaves out parts of the prompt: choose the completion form.")

    def _answering(self, after: str, *, given: bool) -> str:
        """Lead on to the answer: gpt-oss by its final channel, a given reply by closing an opened thought."""
        if _HARMONY.search(after) and "<|channel|>" in self.template.source:
            return after + _FINAL_CHANNEL
        opened = open_thought(after) if given else ""
        tag = opened.strip()
        return f"{after.rstrip()}\n\n{tag[0]}/{tag[1:]}\n\n" if tag else after

    def _frame(self, asked: FewShot, given: bool) -> _Frame:
        if (asked, given) not in self._frames:
            before, after = self._around(asked, given=given)
            ways = [self._begun(self._spell(f"{before}{words}{after}")) for words in _BEGINNINGS]
            same = next((n for n, tokens in enumerate(zip(*ways, strict=False)) if len(set(tokens)) > 1), 0)
            self._frames[asked, given] = _Frame(before, after, tuple(ways[0][:same]))
        return self._frames[asked, given]

    def _begun(self, tokens: list[int]) -> list[int]:
        """Put the model's first token in front unless the template wrote it."""
        start = list(self._start)
        return tokens if tokens[: len(start)] == start else [*start, *tokens]

    def _spell(self, text: str, *, marked: bool = True) -> list[int]:
        assert self._spelling is not None, "this form was made for its texts alone"
        return self._spelling.tokenize(text, marked=marked)
