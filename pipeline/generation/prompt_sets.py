"""The prompt sets that come with the workbench; a workspace adds its own beside them."""

from collections.abc import Iterable, Sequence
from typing import Final

from pipeline.generation.prompts import PromptSet, SidePrompt
from pipeline.records import InputError

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


_CHESS = "Two kids are playing chess in the park."
_MOON = "How far away is the moon?"
_FILM = "The film was far too long and rather dull."
_CHESS_AGAIN = "In the park, a pair of children are having a game of chess."
_MOON_AGAIN = "What is the distance from here to the moon?"
_FILM_AGAIN = "It was a boring movie that went on for too much time."

_SAME = SidePrompt(
    instruction="Say the same thing in other words.",
    premise_label="Sentence",
    reply_label="Same meaning",
    examples=((_CHESS, _CHESS_AGAIN), (_MOON, _MOON_AGAIN), (_FILM, _FILM_AGAIN)),
)
_DIFFERENT = SidePrompt(
    instruction="Change important details so that the sentence says something different.",
    premise_label="Sentence",
    reply_label="Different meaning",
    examples=(
        (_CHESS, "Two kids are sleeping on the couch at home."),
        (_MOON, "How hot is the sun?"),
        (_FILM, "The film was short and full of surprises."),
    ),
)
_REPEAT = SidePrompt(
    instruction="Repeat the sentence word for word.",
    premise_label="Sentence",
    reply_label="Again",
    examples=((_CHESS, _CHESS), (_MOON, _MOON), (_FILM, _FILM)),
)

SHIPPED: Final[tuple[PromptSet, ...]] = (
    PromptSet("default", 1, _SAME, _DIFFERENT, about="Three examples per side; each side is the other's opposite."),
    PromptSet(
        "against copying",
        1,
        _SAME,
        _DIFFERENT,
        against_positive=_REPEAT,
        against_hard_negative=_REPEAT,
        about="The default's prompts, both contrasted with an instruction to repeat the sentence.",
    ),
    PromptSet(
        "strict",
        1,
        SidePrompt(
            instruction="Given that the first sentence is true, write another sentence that must be true as well.",
            premise_label="True",
            reply_label="Also true",
            examples=(
                ("A woman in a red coat is feeding ducks.", "Someone is giving food to birds."),
                ("All shops were shut because of the holiday.", "Nobody could buy anything in a shop that day."),
                ("He moved to Oslo after finishing school.", "He has lived in Oslo since he left school."),
                ("Does this bus stop at the station?", "Can I get to the station with this bus?"),
            ),
        ),
        SidePrompt(
            instruction="Given that the first sentence is true, write another sentence that cannot be true.",
            premise_label="True",
            reply_label="Cannot be true",
            examples=(
                ("A woman in a red coat is feeding ducks.", "The woman is alone in a room without animals."),
                ("All shops were shut because of the holiday.", "Every shop was open on the holiday."),
                ("He moved to Oslo after finishing school.", "He has never left the town he was born in."),
                ("Does this bus stop at the station?", "Does this bus pass the station without stopping?"),
            ),
        ),
        about="Entailment and contradiction in the strict sense, four examples per side.",
    ),
    PromptSet(
        "questions",
        1,
        SidePrompt(
            instruction="Ask for exactly the same information in other words.",
            premise_label="Question",
            reply_label="Same question",
            examples=(
                ("How do I get rid of ants in my kitchen?", "What is a good way to keep ants out of the kitchen?"),
                (
                    "Who painted the ceiling of that chapel?",
                    "Which artist made the chapel's ceiling paintings?",
                ),
                ("Is it safe to eat raw eggs?", "Can I eat eggs without cooking them and not fall ill?"),
            ),
        ),
        SidePrompt(
            instruction="Ask for something else about the same subject.",
            premise_label="Question",
            reply_label="Other question",
            examples=(
                ("How do I get rid of ants in my kitchen?", "How many legs does a kitchen ant have?"),
                ("Who painted the ceiling of that chapel?", "When was the chapel's ceiling last cleaned?"),
                ("Is it safe to eat raw eggs?", "How long do eggs keep in the fridge?"),
            ),
        ),
        about="For premises that are questions: the same information asked for, or another one.",
    ),
    PromptSet(
        "short",
        1,
        SidePrompt("Paraphrase.", "Text", "Paraphrase", ((_CHESS, _CHESS_AGAIN),)),
        SidePrompt("Contradict.", "Text", "Contradiction", ((_CHESS, "The park is empty; nobody plays chess."),)),
        about="One example and one word of instruction per side: the fewest tokens.",
    ),
    PromptSet(
        "no examples",
        1,
        SidePrompt(
            "Rewrite the sentence with other words and another word order, but keep everything that it says. "
            "Answer with the new sentence only.",
            "Sentence",
            "Rewritten",
            (),
        ),
        SidePrompt(
            "Rewrite the sentence so that it contradicts what it says now, by exchanging, reversing or negating some "
            "of it. Answer with the new sentence only.",
            "Sentence",
            "Contradicted",
            (),
        ),
        about="Instructions alone, as in the paper; for larger models that follow them.",
    ),
    PromptSet(
        "dino",
        1,
        SidePrompt("Task: Write two sentences that mean the same thing.", "Sentence 1", "Sentence 2", ()),
        SidePrompt(
            "Task: Write two sentences that are on completely different topics.", "Sentence 1", "Sentence 2", ()
        ),
        about="The instructions of DINO (2021), for a study of its damping (λ 100) beside MultiCSR; its positives "
        "had no opposite.",
    ),
    *targeted_sets(_SAME),
)
"""In the order in which they are offered."""

PROMPT_SETS: Final[dict[str, PromptSet]] = {prompts.prompt_set_id: prompts for prompts in SHIPPED}
"""The shipped sets by name."""


def prompt_set(ref: str, own: Iterable[PromptSet] = ()) -> PromptSet:
    """Return the set of this name, or of this name@version, from the shipped ones and `own`.

    A name alone means its newest version. InputError naming the known sets for anything else.
    """
    name, at, version = ref.partition("@")
    known = [*SHIPPED, *own]
    named = [prompts for prompts in known if prompts.prompt_set_id == name]
    found = [prompts for prompts in named if not at or str(prompts.version) == version]
    if not found:
        others = sorted({prompts.ref if named else prompts.prompt_set_id for prompts in named or known})
        raise InputError(f"There is no prompt set {ref!r}; choose one of {', '.join(others)}.")
    return max(found, key=lambda prompts: prompts.version)
