"""From a raw reply to its outcome: cleaned text, and exactly one word for how it ended."""

import unicodedata
from dataclasses import replace

from pipeline.generation.clean_up import sentence_in
from pipeline.generation.copies import is_copy, is_near_copy
from pipeline.generation.languages import is_other_language
from pipeline.generation.loops import is_loop
from pipeline.generation.prompts import PromptSet, SidePrompt
from pipeline.generation.refusals import is_refusal
from pipeline.generation.unwrapping import has_words
from pipeline.records import Outcome, Side, SideResult


def classify(raw: str, premise: str, side: Side, prompts: PromptSet, *, cut: bool, tokens: int) -> SideResult:
    """Turn a raw reply into a SideResult with exactly one outcome.

    cut says that the reply reached the token limit before it ended; what comes after its sentence may be missing. The
    order of the questions is the order of precedence: empty, refused, loop, truncated, malformed, wrong language,
    copy, near copy, ok.
    """
    found = sentence_in(raw, prompts.own(side), premise=premise)
    is_cut = cut and not (found.is_whole or found.is_stopped)
    if found.flaw is not None:
        return SideResult(found.text, raw, Outcome.TRUNCATED if is_cut else found.flaw, tokens)
    return SideResult(found.text, raw, outcome_of(found.text, premise, side, cut=is_cut), tokens)


def outcome_of(text: str, premise: str, side: Side, *, cut: bool = False) -> Outcome:
    """Return the one word for how a cleaned reply ended; each question is asked of every script."""
    if _says_nothing(text, premise):
        return Outcome.EMPTY
    if is_refusal(text, premise):
        return Outcome.REFUSED
    if is_loop(text, premise):
        return Outcome.LOOP
    if cut:
        return Outcome.TRUNCATED
    if is_other_language(text, premise):
        return Outcome.WRONG_LANGUAGE
    if is_copy(text, premise):
        return Outcome.COPY
    return Outcome.NEAR_COPY if is_near_copy(text, premise, side) else Outcome.OK


def unlike(hard_negative: SideResult, positive: SideResult) -> SideResult:
    """Return the hard negative, as a copy where it says the positive again up to case, punctuation and spaces."""
    is_same = hard_negative.outcome is Outcome.OK and is_copy(hard_negative.text, positive.text)
    return replace(hard_negative, outcome=Outcome.COPY) if is_same else hard_negative


def clean(raw: str, prompt: SidePrompt, premise: str = "") -> tuple[str, bool]:
    """Return the sentence in a reply, and whether one of the prompt's stop strings ended it."""
    found = sentence_in(raw, prompt, premise=premise)
    return found.text, found.is_stopped


def _says_nothing(text: str, premise: str) -> bool:
    """Whether a text has no letters or digits; pictures answer a premise of pictures."""
    return not has_words(text) and (
        has_words(premise) or not any(unicodedata.category(sign) == "So" for sign in text)
    )
