"""What judges ask. A calibration holds for these words only, so they change with a new version."""

from dataclasses import dataclass, replace

from pipeline.generation.prompt_sets import prompt_set

JUDGE_PROMPTS = replace(prompt_set("default@1"), prompt_set_id="judge")
"""What the likelihood judges ask."""


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
