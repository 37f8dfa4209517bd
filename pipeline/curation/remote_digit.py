"""The digit judge of a server: the expected digit where the server returns log-probabilities, else a written number.

A server returns at most the best twenty tokens. The digits among them are weighed as in the local judge, and the raw
value is the expected digit. A server without log-probabilities is asked for JSON with one number in it, or for the
number alone where it refuses that too. Numbers are found in many forms ("4/5", "Rating (0-5): 4"). A pair without
exactly one number, and a pair whose call failed, is NaN and counted.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event
from typing import Any

import numpy as np

from pipeline.config import GenerationConfig
from pipeline.curation.likelihood import DIGIT_PROMPT, DigitPrompt
from pipeline.curation.number_reading import number_in_words
from pipeline.generation.llms.meter import Meter, Usage
from pipeline.generation.llms.refused_settings import is_named, refusal_text
from pipeline.generation.llms.registry import LLMEntry
from pipeline.generation.llms.remote import RemoteLLM
from pipeline.generation.llms.responses import answer_text, best_tokens, first_choice, usage_of
from pipeline.generation.llms.retries import CallError, Calls, Parsed, Patience, plain
from pipeline.generation.prompts import FewShot

_WAYS = ("log_p", "form", "plain")
"""How a server is asked, the best first: log-probabilities, JSON of a schema, a number."""
_REFUSABLE = {"log_p": ("logprobs", "top_logprobs"), "form": ("response_format", "json_schema"), "plain": ()}
"""Settings whose refusal leads on to the next way."""
_TOP = 20
_DIGITS = {str(digit): float(digit) for digit in range(6)}
_LEAST_MASS = 0.05
"""Share of probability on digits below which the answer was no digit."""
_FORM_TOKENS = 64
"""Room for JSON with a number, or for a short sentence around one."""
UNPARSABLE, FAILED = "unparsable", "failed"
_SCHEMA = {
    "type": "object",
    "properties": {"score": {"type": "number", "minimum": 0, "maximum": 5}},
    "required": ["score"],
    "additionalProperties": False,
}
_FORM: Any = {"type": "json_schema", "json_schema": {"name": "similarity", "strict": True, "schema": _SCHEMA}}


class RemoteDigitJudge:
    """Asks a server about pairs, several calls at a time, each pair in both orders."""

    def __init__(
        self, entry: LLMEntry, *, judge_id: str, prompt: DigitPrompt = DIGIT_PROMPT, patience: Patience | None = None
    ) -> None:
        self.judge_id = judge_id
        self._llm = RemoteLLM(entry, patience=patience)
        self._entry = entry
        self._prompt = prompt
        none = GenerationConfig()
        meter = Meter(
            price_in=entry.price_in,
            price_out=entry.price_out,
            token_budget=none.token_budget,
            money_budget=none.money_budget,
            spent=Usage(),
        )
        self._calls = Calls(
            meter, patience=patience or Patience(), stop=Event(), secret=self._llm.secret, pace=self._llm.pace
        )
        self._longest = self._llm.longest_reply(_FORM_TOKENS, none)
        self._way = _WAYS[1] if entry.reasons else _WAYS[0]  # the first token of a thought is no digit
        self.unscored: Counter[str] = Counter()
        """Pairs without a value so far: unparsable (no number, or several) or failed (a call went wrong)."""

    def scores(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Return the mean digit over both orders, float64 (n,) in 0..5; NaN for a pair that was not scored.

        Raises InputError when the server refuses every call.
        """
        asked = sorted({ordered for a, b in pairs for ordered in ((a, b), (b, a))})
        with ThreadPoolExecutor(self._entry.concurrency, thread_name_prefix="judge-call") as pool:
            found = dict(zip(asked, pool.map(self._asked, asked), strict=True))
        values = [self._mean(found[a, b], found[b, a]) for a, b in pairs]
        return np.array(values, dtype=np.float64)

    def _mean(self, one: float | str, other: float | str) -> float:
        """Return the mean of both orders, or NaN, counted by what is wrong with the pair."""
        if isinstance(one, str) or isinstance(other, str):
            self.unscored[FAILED if FAILED in (one, other) else UNPARSABLE] += 1
            return float("nan")
        return (one + other) / 2

    def _asked(self, pair: tuple[str, str]) -> float | str:
        """Return the digit of a pair in this order, or why there is none; asked in the best way not refused."""
        asked = self._prompt.few_shot, self._prompt.question(*pair)
        text = "".join(self._llm.shown(*asked)).encode(errors="replace").decode()
        for way in _WAYS[_WAYS.index(self._way) :]:
            try:
                value = self._calls.make(
                    self._request(asked, way),
                    digit_in if way == _WAYS[0] else number_in,
                    prompt=text,
                    reply_tokens=1 if way == _WAYS[0] else self._longest,
                )
            except CallError as error:
                told = refusal_text(error)
                if not any(is_named(name, told) for name in _REFUSABLE[way]):
                    return FAILED
                value = None
            else:
                if value is not None or way != _WAYS[0]:
                    return UNPARSABLE if value is None else float(value)
            self._way = _WAYS[min(_WAYS.index(way) + 1, len(_WAYS) - 1)]
        return FAILED

    def _request(self, asked: tuple[FewShot, str], way: str) -> Callable[[], Any]:
        settings: dict[str, Any] = {"temperature": 0, "max_tokens": 1 if way == "log_p" else self._longest}
        if self._entry.api == "chat":
            settings["messages"] = self._llm.messages(*asked)
            extra = {"log_p": {"logprobs": True, "top_logprobs": _TOP}, "form": {"response_format": _FORM}}
            return partial(self._llm.create, "chat", **settings, **extra.get(way, {}))
        settings["prompt"] = "".join(self._llm.shown(*asked)).encode(errors="replace").decode()
        settings |= {"logprobs": _TOP} if way == "log_p" else {"stop": ["\n"]}
        return partial(self._llm.create, "completions", **settings)


def digit_in(answer: Any) -> Parsed:
    """Read the expected digit of the first token, or None where the answer holds no log-probabilities of digits."""
    found = plain(answer)
    shares: dict[float, float] = {}
    for token, log_p in best_tokens(first_choice(found)):
        digit = _DIGITS.get(token.strip())
        if digit is not None:
            shares[digit] = shares.get(digit, 0.0) + math.exp(log_p)
    mass = sum(shares.values())
    value = sum(digit * share for digit, share in shares.items()) / mass if mass >= _LEAST_MASS else None
    return Parsed(value, *usage_of(found))


def number_in(answer: Any) -> Parsed:
    """Read the number of an answer, in JSON or in words; None where there is none in 0..5, or several."""
    found = plain(answer)
    return Parsed(number_in_words(answer_text(first_choice(found))), *usage_of(found))
