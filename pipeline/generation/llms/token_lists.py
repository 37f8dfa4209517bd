"""The contrast token by token over a server that shows the best next tokens of each prompt.

Both prompts are asked for one token with the log-probabilities of the best twenty. With plausibility 0.1 the allowed
tokens are nearly always among them, and z = l - omega l^ is taken on those. Where the opposite list lacks a token its
l^ is at most the last value of that list, which stands in for it: its true z is then greater, never smaller. A server
that takes the ids of tokens says l^ of all of them (`token_ids`), and nothing stands in.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from pipeline.generation.clean_up import is_template_token
from pipeline.generation.contrast import MOST_DAMPED, TokenChoice, pick
from pipeline.generation.llms.responses import best_tokens, first_choice, usage_of
from pipeline.generation.llms.retries import MalformedError, Parsed, plain

LISTED: Final = 20
"""Tokens asked for; most servers give no more."""
TokenList = Sequence[tuple[str, float]]
"""Texts of tokens with their log-probabilities in nats, the best first."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """One token: its text, log p under both prompts, and whether full lists might have led to another."""

    text: str
    own_log_p: float
    opposite_log_p: float
    is_short: bool

    @property
    def ends(self) -> bool:
        """Whether it ends a reply: a line break, or a token that servers spell as nothing or as a template's."""
        return not self.text or "\n" in self.text or is_template_token(self.text)


def chosen_from(own: TokenList, opposite: TokenList, how: TokenChoice, draw: float | None) -> Chosen | None:
    """Choose a token from the lists of both prompts; None where no listed one can be continued as text.

    draw: uniform in [0, 1) for sampling. A list is too short where it ends above the plausibility cut, or where a
    token other than the chosen one might have won with the value that the opposite list lacks.
    """
    usable = [(text, log_p) for text, log_p in own if log_p >= lowest(own, how) and _is_text(text)]
    if not usable:
        return None
    known, least = dict(opposite), min(log_p for _, log_p in opposite)
    values = [known.get(text, least) for text, _ in usable]
    place = picked([log_p for _, log_p in usable], values, how, draw)
    unknown = {text for text, _ in usable if text not in known} - {usable[place][0]}
    is_short = own[-1][1] >= lowest(own, how) or bool(unknown)
    return Chosen(*usable[place], values[place], is_short)


def lowest(own: Sequence[tuple[Any, float]], how: TokenChoice) -> float:
    """Return the log-probability that a token needs to be plausible."""
    return own[0][1] + math.log(how.plausibility) if how.plausibility > 0 else -math.inf


def picked(own: Sequence[float], opposite: Sequence[float], how: TokenChoice, draw: float | None) -> int:
    """Return the place of the chosen token among those with these log-probabilities under both prompts."""
    z = np.array([_z(log_p, other, how) for log_p, other in zip(own, opposite, strict=True)])
    return pick(z.astype(np.float32), how, draw)


def _z(own: float, opposite: float, how: TokenChoice) -> float:
    if how.damping > 0:
        more = max(0.0, math.exp(opposite) - math.exp(own))
        return own - min(how.damping * more, -math.log(MOST_DAMPED))
    return own - how.omega * opposite


def token_list(answer: Any) -> Parsed:
    """Read the best next tokens of a completion of one token, the best first; MalformedError where it has none.

    A server that ends the reply at once and lists nothing has shown one token: the end, written as nothing.
    """
    found = plain(answer)
    choice = first_choice(found)
    listed = best_tokens(choice)[:LISTED]
    if not listed and choice.get("finish_reason") == "stop" and not choice.get("text"):
        listed = [("", 0.0)]
    if not listed:
        raise MalformedError("no log-probabilities of the best tokens in it")
    return Parsed(listed, *usage_of(found))


def _is_text(text: str) -> bool:
    """Whether a prompt can go on with a token: a part of a character cannot be written."""
    return "\ufffd" not in text and not text.startswith("bytes:")
