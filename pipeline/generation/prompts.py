"""The instructions and few-shot examples given to the LLM, as data with an id and a version.

Each side (positive, hard negative) has one prompt; the opposite prompt of a side is the other side's. Every token
of the shared part is attended to by every row at every step, so the examples are few and short: see
benchmarks/generation.py for what their length costs.
"""

from dataclasses import dataclass, replace

from pipeline.errors import InputError
from pipeline.records import Side


@dataclass(frozen=True, slots=True)
class SidePrompt:
    """Instruction, labels and few-shot examples of one side."""

    instruction: str
    premise_label: str
    reply_label: str
    examples: tuple[tuple[str, str], ...]

    def prefix(self) -> str:
        """Return the part shared by all premises: instruction and examples, ending in a line break."""
        shots = "".join(f"{self.tail(premise)} {reply}\n" for premise, reply in self.examples)
        return f"{self.instruction}\n{shots}"

    def tail(self, premise: str) -> str:
        """Return the part of one premise, which the reply follows; line breaks in it become spaces."""
        return f"{self.premise_label}: {' '.join(premise.split())}\n{self.reply_label}:"


@dataclass(frozen=True, slots=True)
class PromptSet:
    """Both sides' prompts; a reply ends at the first line break."""

    prompt_set_id: str
    version: int
    positive: SidePrompt
    hard_negative: SidePrompt
    stop: str = "\n"

    def own(self, side: Side) -> SidePrompt:
        """Return the prompt that asks for this side."""
        return self.positive if side is Side.POSITIVE else self.hard_negative

    def opposite(self, side: Side) -> SidePrompt:
        """Return the prompt that asks for the other side."""
        return self.hard_negative if side is Side.POSITIVE else self.positive

    def labels(self, side: Side) -> tuple[str, ...]:
        """Return the labels that a reply may repeat in front of itself."""
        return (self.own(side).reply_label, self.own(side).premise_label)


_DEFAULT = PromptSet(
    prompt_set_id="default",
    version=1,
    positive=SidePrompt(
        instruction="Say the same thing in other words.",
        premise_label="Sentence",
        reply_label="Same meaning",
        examples=(
            (
                "Two kids are playing chess in the park.",
                "In the park, a pair of children are having a game of chess.",
            ),
            ("How far away is the moon?", "What is the distance from here to the moon?"),
            ("The film was far too long and rather dull.", "It was a boring movie that went on for too much time."),
        ),
    ),
    hard_negative=SidePrompt(
        instruction="Change important details so that the sentence says something different.",
        premise_label="Sentence",
        reply_label="Different meaning",
        examples=(
            ("Two kids are playing chess in the park.", "Two kids are sleeping on the couch at home."),
            ("How far away is the moon?", "How hot is the sun?"),
            ("The film was far too long and rather dull.", "The film was short and full of surprises."),
        ),
    ),
)

JUDGE_PROMPTS = replace(_DEFAULT, prompt_set_id="judge")
"""What the likelihood judges ask; a calibration holds for these words only, so they change with a new version."""


@dataclass(frozen=True, slots=True)
class DigitPrompt:
    """Instruction and scored examples of the judge that asks for a number; version as in a prompt set."""

    version: int
    instruction: str
    labels: tuple[str, str, str]
    """In front of the first sentence, the second one and the number."""
    examples: tuple[tuple[str, str, int], ...]

    def prefix(self) -> str:
        """Return the part shared by all pairs: instruction and examples, ending in a line break."""
        shots = "".join(f"{self.tail(first, second)} {score}\n" for first, second, score in self.examples)
        return f"{self.instruction}\n{shots}"

    def tail(self, first: str, second: str) -> str:
        """Return the part of one pair, which a blank and the digit follow; line breaks in it become spaces."""
        one, two, number = self.labels
        return f"{one}: {' '.join(first.split())}\n{two}: {' '.join(second.split())}\n{number}:"


DIGIT_PROMPT = DigitPrompt(
    version=1,
    instruction="How similar in meaning are the two sentences? Answer from 0, unrelated, to 5, the same meaning.",
    labels=("First", "Second", "Similarity"),
    examples=(
        ("Two kids are playing chess in the park.", "In the park, a pair of children are having a game of chess.", 5),
        ("How far away is the moon?", "She bought a loaf of fresh bread.", 0),
        ("The film was far too long.", "The film was funny and short.", 2),
        ("A man drives a red car.", "A man is driving a car.", 4),
    ),
)
"""What the digit judge asks."""

PROMPT_SETS: dict[str, PromptSet] = {_DEFAULT.prompt_set_id: _DEFAULT}
"""Prompt sets by id."""


def prompt_set(prompt_set_id: str) -> PromptSet:
    """Return the prompt set of this id; InputError naming the known ones otherwise."""
    if prompt_set_id not in PROMPT_SETS:
        raise InputError(f"There is no prompt set {prompt_set_id!r}; choose one of {', '.join(sorted(PROMPT_SETS))}.")
    return PROMPT_SETS[prompt_set_id]
