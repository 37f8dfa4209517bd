"""From a raw reply to its outcome: cleaned text, and exactly one word for how it ended."""

import re

from pipeline.generation.prompts import PromptSet, SidePrompt
from pipeline.records import Outcome, Side, SideResult

_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "«": "»", "`": "`"}
_BULLET = re.compile(r"^(?:[-*•>]|\d{1,2}[.)])\s+")
_PREAMBLE = re.compile(
    r"^(?:(?:sure|certainly|of course|okay|ok)\b[^:]{0,40}|here(?:'s| is| are)\b[^:]{0,40}\b)"
    r"(?:paraphrase|paraphrased|rewritten|rewrite|rephrased|sentence|version|contradiction|answer)\b[^:]{0,30}:\s+",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"^(?:i(?:'m| am) (?:sorry|unable|not able)|sorry,|i (?:can't|cannot|can not|won't|could not)\s+(?:\w+\s+)?"
    r"(?:paraphrase|rewrite|rephrase|help|assist|answer|provide|generate|create|complete|do that|comply|fulfil)"
    r"|as an? (?:ai|language model)|(?:please|could you) (?:provide|give me)|there is no (?:input )?sentence"
    r"|the (?:input|given|provided) sentence)",
    re.IGNORECASE,
)


def classify(raw: str, premise: str, side: Side, prompts: PromptSet, *, cut: bool, tokens: int) -> SideResult:
    """Turn a raw reply into a SideResult with exactly one outcome.

    cut says that the reply reached the token limit before it ended. The order of the questions is the order of
    precedence: empty, truncated, refused, copy, ok. A copy equals the premise up to case, punctuation and spaces.
    """
    text, stopped = clean(raw, prompts.own(side))
    if not words(text):
        outcome = Outcome.EMPTY
    elif cut and not stopped:
        outcome = Outcome.TRUNCATED
    elif _REFUSAL.match(text):
        outcome = Outcome.REFUSED
    elif words(text) == words(premise):
        outcome = Outcome.COPY
    else:
        outcome = Outcome.OK
    return SideResult(text=text, raw=raw, outcome=outcome, tokens=tokens)


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


def words(text: str) -> str:
    """Return the letters and digits of a text, case folded: what is left when two texts are compared as copies.

    A text of signs alone (an emoji, say) has no letters; then its visible signs are compared instead.
    """
    folded = text.casefold()
    return "".join(sign for sign in folded if sign.isalnum()) or "".join(folded.split())
