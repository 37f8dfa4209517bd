"""From a raw reply to its outcome: cleaned text, and exactly one word for how it ended."""

import re

from pipeline.generation.copies import is_copy, is_near_copy, words
from pipeline.generation.languages import is_other_language
from pipeline.generation.loops import is_loop
from pipeline.generation.prompts import PromptSet, SidePrompt
from pipeline.generation.refusals import is_refusal
from pipeline.records import Outcome, Side, SideResult

_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "«": "»", "`": "`"}
_BULLET = re.compile(r"^(?:[-*•>]|\d{1,2}[.)])\s+")
_PREAMBLE = re.compile(
    r"^(?:(?:sure|certainly|of course|okay|ok)\b[^:]{0,40}|here(?:'s| is| are)\b[^:]{0,40}\b)"
    r"(?:paraphrase|paraphrased|rewritten|rewrite|rephrased|sentence|version|contradiction|answer)\b[^:]{0,30}:\s+",
    re.IGNORECASE,
)


def classify(raw: str, premise: str, side: Side, prompts: PromptSet, *, cut: bool, tokens: int) -> SideResult:
    """Turn a raw reply into a SideResult with exactly one outcome.

    cut says that the reply reached the token limit before it ended. The order of the questions is the order of
    precedence: empty, refused, loop, truncated, wrong language, copy, near copy, ok.
    """
    text, stopped = clean(raw, prompts.own(side))
    return SideResult(text, raw, outcome_of(text, premise, side, cut=cut and not stopped), tokens)


def outcome_of(text: str, premise: str, side: Side, *, cut: bool = False) -> Outcome:
    """Return the one word for how a cleaned reply ended; each question is asked of every script."""
    if not words(text):
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


def clean(raw: str, prompt: SidePrompt) -> tuple[str, bool]:
    """Return the sentence in a reply's first line, and whether one of the prompt's stop strings ended it.

    Taken off at its edges is what the prompt's clean-up names: bullet, label, announcement, quotes.
    """
    line, stopped = _until_stop(next((part for part in raw.splitlines() if part.strip()), ""), prompt.stop)
    text, wanted = " ".join(line.split()), prompt.clean_up
    if wanted.bullets:
        text = _BULLET.sub("", text)
    if wanted.labels:
        for label in (prompt.reply_label, prompt.premise_label):
            if text.casefold().startswith(f"{label.casefold()}:"):
                text = text[len(label) + 1 :].strip()
    if wanted.preambles:
        text = _PREAMBLE.sub("", text)
    if wanted.quotes and len(text) >= 2 and _QUOTES.get(text[0]) == text[-1] and text[0] not in text[1:-1]:
        text = text[1:-1].strip()
    return text, stopped


def _until_stop(line: str, stops: tuple[str, ...]) -> tuple[str, bool]:
    """Cut a line before the first stop string in it."""
    places = [place for stop in stops if (place := line.find(stop)) >= 0]
    return (line[: min(places)], True) if places else (line, False)
