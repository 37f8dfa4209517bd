"""Prompts as data: what one side of a triplet is asked with, and the set of prompts that a run uses.

Each side (positive, hard negative) has its own prompt; what it is contrasted with is the other side's prompt, or one
chosen for it. Every token of the shared part is attended to by every row at every step, so examples are few and
short: see benchmarks/generation.py for what their length costs.
"""

import re
from collections.abc import Iterator
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any

from pipeline.records import InputError, Side

LINE_END = "\n"
"""A reply ends at its first line break, whatever else ends it."""
MAX_EXAMPLES = 20
MAX_PART_CHARS = 2_000
_NAME = re.compile(r"[a-z0-9][a-z0-9 _-]{0,59}")


@dataclass(frozen=True, slots=True)
class CleanUp:
    """What is taken off a reply around its sentence; each only where it stands at the edge."""

    bullets: bool = True
    """A leading bullet or list number."""
    labels: bool = True
    """The prompt's own label, repeated in front."""
    preambles: bool = True
    """A leading announcement that ends in a colon, such as "Here is a paraphrase:"."""
    quotes: bool = True
    """A pair of quotation marks around the whole."""


@dataclass(frozen=True, slots=True)
class FewShot:
    """What an LLM is asked, in parts that both forms of a prompt are made of (see forms).

    As one text: the instruction, per example before + question + after + blank + reply, then the question alone.
    As a chat: the instruction as the system's message, question and reply of each example as turns of user and
    assistant, then the question.
    """

    instruction: str
    examples: tuple[tuple[str, str], ...] = ()
    before: str = ""
    after: str = ""
    prefill: str = ""
    """Chat form: how the assistant's turn begins."""

    def prefix(self) -> str:
        """Return the part that all questions share, ending in a line break."""
        shots = "".join(f"{self.tail(question)} {reply}\n" for question, reply in self.examples)
        head = f"{self.instruction}\n" if self.instruction else ""
        return f"{head}{shots}" or (LINE_END if self.after else "")

    def tail(self, question: str) -> str:
        """Return the part of one question, which the reply follows."""
        return f"{self.before}{question}{self.after}"


@dataclass(frozen=True, slots=True)
class SidePrompt:
    """Instruction, labels, few-shot examples, further stop strings and clean-up of one prompt."""

    instruction: str
    premise_label: str
    reply_label: str
    examples: tuple[tuple[str, str], ...]
    stop: tuple[str, ...] = ()
    clean_up: CleanUp = field(default_factory=CleanUp)
    prefill: str = ""
    """Chat form: how the assistant's turn begins; it belongs to the reply."""

    def __post_init__(self) -> None:
        if not self.premise_label.strip() or not self.reply_label.strip():
            raise InputError("A prompt needs a label for the premise and one for the reply.")
        if len(self.examples) > MAX_EXAMPLES:
            raise InputError(f"A prompt has at most {MAX_EXAMPLES} examples, got {len(self.examples)}.")
        for part in (self.premise_label, self.reply_label, *(text for pair in self.examples for text in pair)):
            if LINE_END in part or not part.strip():
                raise InputError("Labels and examples of a prompt are single lines with text in them.")
        if any(not stop for stop in self.stop):
            raise InputError("A stop string must not be empty: every reply would end at once.")
        if any(len(part) > MAX_PART_CHARS for part in _parts(self)):
            raise InputError(f"Every part of a prompt must stay below {MAX_PART_CHARS:,} characters.")

    @property
    def few_shot(self) -> FewShot:
        """The parts of the prompt, which a premise on one line completes."""
        examples = tuple((one_line(premise), reply) for premise, reply in self.examples)
        return FewShot(
            self.instruction, examples, f"{self.premise_label}: ", f"\n{self.reply_label}:", self.prefill.strip()
        )

    def prefix(self) -> str:
        """Return the part shared by all premises: instruction and examples, ending in a line break."""
        return self.few_shot.prefix()

    def tail(self, premise: str) -> str:
        """Return the part of one premise, which the reply follows; line breaks in it become spaces."""
        return self.few_shot.tail(one_line(premise))


def one_line(text: str) -> str:
    """Return a text with every run of blanks and line breaks as one blank."""
    return " ".join(text.split())


@dataclass(frozen=True, slots=True)
class PromptSet:
    """The prompts of both sides, and what each is contrasted with."""

    prompt_set_id: str
    version: int
    positive: SidePrompt
    hard_negative: SidePrompt
    against_positive: SidePrompt | None = None
    """What a positive is contrasted with; None takes the hard negative's prompt."""
    against_hard_negative: SidePrompt | None = None
    """What a hard negative is contrasted with; None takes the positive's prompt."""
    about: str = ""
    """What the set is for, in a sentence."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.prompt_set_id):
            raise InputError(
                f"A prompt set cannot be called {self.prompt_set_id!r}: use up to 60 small letters, digits, spaces, "
                "- or _, a letter or digit first."
            )

    @property
    def ref(self) -> str:
        """Name and version in one word, which is how runs and rows name the set."""
        return f"{self.prompt_set_id}@{self.version}"

    def own(self, side: Side) -> SidePrompt:
        """Return the prompt that asks for this side."""
        return self.positive if side is Side.POSITIVE else self.hard_negative

    def against(self, side: Side) -> SidePrompt | None:
        """Return the prompt chosen as this side's opposite; None where it is the other side's own."""
        return self.against_positive if side is Side.POSITIVE else self.against_hard_negative

    def opposite(self, side: Side) -> SidePrompt:
        """Return the prompt that this side is contrasted with."""
        return self.by_key()[self.opposite_key(side)]

    def opposite_key(self, side: Side) -> str:
        """Return the key of this side's opposite among `by_key`."""
        other = Side.HARD_NEGATIVE if side is Side.POSITIVE else Side.POSITIVE
        return str(other) if self.against(side) is None else f"against_{side}"

    def by_key(self) -> dict[str, SidePrompt]:
        """Return every different prompt by its key: each is decoded once per premise, however often it is used."""
        prompts = {str(side): self.own(side) for side in Side}
        return prompts | {f"against_{side}": prompt for side in Side if (prompt := self.against(side))}

    def to_json(self) -> dict[str, Any]:
        """Return plain values, as runs and the workspace keep them."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> "PromptSet":
        """Build a set from plain values; InputError where something is missing, unknown or of another kind."""
        try:
            known = _known(cls, record)
            sides: dict[str, Any] = {key: _side_prompt(known.pop(key)) for key in _PROMPT_FIELDS if key in known}
            return cls(**known, **sides)
        except (TypeError, ValueError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"This is not a prompt set: {error}.") from error


_PROMPT_FIELDS = ("positive", "hard_negative", "against_positive", "against_hard_negative")


def _side_prompt(record: dict[str, Any] | None) -> SidePrompt | None:
    if record is None:
        return None
    known = _known(SidePrompt, record)
    known["examples"] = tuple((str(premise), str(reply)) for premise, reply in known["examples"])
    known["stop"] = tuple(map(str, known.get("stop", ())))
    known["clean_up"] = CleanUp(**_known(CleanUp, known.get("clean_up", {})))
    return SidePrompt(**known)


def _known(kind: type, record: dict[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    unknown = sorted(set(record) - names)
    needed = {field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING}
    if unknown:
        raise InputError(f"A {kind.__name__} has no {', '.join(unknown)}; it has {', '.join(sorted(names))}.")
    if lacking := sorted(needed - set(record)):
        raise InputError(f"A {kind.__name__} needs {', '.join(lacking)}.")
    return dict(record)


def _parts(prompt: SidePrompt) -> Iterator[str]:
    yield from (prompt.instruction, prompt.premise_label, prompt.reply_label, prompt.prefill, *prompt.stop)
    for premise, reply in prompt.examples:
        yield from (premise, reply)
