"""Prompt sets aimed at one kind of difference, for triplets like pairs that an encoder gets wrong."""

from collections.abc import Sequence
from typing import Final

from pipeline.generation.prompts import PromptSet, SidePrompt

_TEAM = "The team won 3 games in April."
_NURSE = "The nurse thanked the driver for his help."
_SHOP = "Maria opened a small shop in Lisbon."
_DOOR = "The back door was locked when they arrived."

_Wanted = tuple[str, str, tuple[tuple[str, str], ...], str]
"""Name of the set, instruction and examples of its hard negatives, and what it is for."""

_WANTED: Final[tuple[_Wanted, ...]] = (
    (
        "negation",
        "Say that it is not so: negate the sentence, or use the opposite word. Change nothing else.",
        (
            (_DOOR, "The back door was not locked when they arrived."),
            (_SHOP, "Maria never opened a small shop in Lisbon."),
            ("The soup is too hot to eat.", "The soup is too cold to eat."),
        ),
        "Hard negatives by negation or the opposite word.",
    ),
    (
        "numbers",
        "Change the number or the date in the sentence. Change nothing else.",
        (
            (_TEAM, "The team won 30 games in April."),
            ("She was born in 1974.", "She was born in 1947."),
            ("Two men are standing at the bar.", "Five men are standing at the bar."),
        ),
        "Hard negatives by another number or date.",
    ),
    (
        "names",
        "Put another person, place or company into the sentence. Change nothing else.",
        (
            (_SHOP, "Maria opened a small shop in Oslo."),
            ("Mr Lee met the president of Peru.", "Mr Lee met the president of Kenya."),
            ("The bank sold its shares to Norsk.", "The bank sold its shares to Delta."),
        ),
        "Hard negatives by another name.",
    ),
    (
        "roles",
        "Swap who does what to whom, with the same words.",
        (
            (_NURSE, "The driver thanked the nurse for her help."),
            ("A dog is chasing a cat.", "A cat is chasing a dog."),
            ("The river flows from the lake to the sea.", "The river flows from the sea to the lake."),
        ),
        "Hard negatives by swapped roles, the same words in another order; for larger models than the embedded one.",
    ),
)


def targeted_sets(positive: SidePrompt) -> tuple[PromptSet, ...]:
    """Return the sets; their positives are asked for with this prompt, their hard negatives in their own way."""
    return tuple(
        PromptSet(name, 1, positive, SidePrompt(instruction, "Sentence", "Different meaning", examples), about=about)
        for name, instruction, examples, about in _WANTED
    )


_FITTING: Final[dict[str, tuple[str, ...]]] = {
    "negation": ("negation on one side", "negation on both sides", "negation", "antonym"),
    "numbers": (
        "numbers that differ",
        "the same numbers",
        "dates that differ",
        "the same dates",
        "number change",
    ),
    "names": ("names that differ", "the same names", "named entity swap"),
    "roles": ("same words, other order", "role swap", "word order", "80% of words shared or more"),
    "questions": ("questions", "question on one side"),
}


def fitting_set(slice_name: str, sentences: Sequence[str]) -> str:
    """Return the name of the shipped set that suits failing pairs.

    slice_name: a slice of pairs or a capability of the behavioural suite; where none is aimed at it, mostly questions
    take the set for questions and everything else the default.
    """
    found = next((name for name, slices in _FITTING.items() if slice_name in slices), None)
    if found:
        return found
    questions = sum(sentence.rstrip().endswith("?") for sentence in sentences)
    return "questions" if 2 * questions > len(sentences) else "default"
