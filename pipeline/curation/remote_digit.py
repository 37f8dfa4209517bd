"""The digit judge of a server: the expected digit where log-probabilities are told, else a number in a fixed form.

A server shows at most the best twenty tokens. The digits among them are weighed as in the local judge, and the raw
value is the expected digit. A server that tells no log-probabilities is asked for JSON with one number in it; its
answer is read with some patience ("4", "4.5", "4/5"), and a pair that it does not score is NaN, never a guess.
"""

import json
import math
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import numpy as np

from pipeline.config import GenerationConfig
from pipeline.generation.judge_prompts import DIGIT_PROMPT, DigitPrompt
from pipeline.generation.llms.answers import first_choice, usage_of
from pipeline.generation.llms.calls import CallError, Calls, MalformedError, Parsed, Patience, plain
from pipeline.generation.llms.endpoints import key_in
from pipeline.generation.llms.entries import LLMEntry
from pipeline.generation.llms.meter import Meter, Usage
from pipeline.generation.llms.remote import RemoteLLM

_TOP = 20
_DIGITS = {str(digit): float(digit) for digit in range(6)}
_LEAST_MASS = 0.05
"""Share of probability on digits below which the answer was no digit."""
_NUMBER = re.compile(r"(?<![\w.])([0-5](?:[.,]\d+)?)(?:\s*/\s*5)?(?![\w%]|[.,]\d)")
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
        secret = key_in(entry.key_variable) if entry.key_variable else ""
        self._calls = Calls(meter, patience=patience or Patience(), stop=Event(), secret=secret)
        self._tells_log_p = True

    def scores(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Return the mean digit over both orders, float64 (n,) in 0..5; NaN for a pair that was not scored.

        Raises InputError when the server refuses every call.
        """
        asked = sorted({ordered for a, b in pairs for ordered in ((a, b), (b, a))})
        with ThreadPoolExecutor(self._entry.concurrency, thread_name_prefix="judge-call") as pool:
            values = dict(zip(asked, pool.map(self._digit, asked), strict=True))
        return np.array([(values[a, b] + values[b, a]) / 2 for a, b in pairs], dtype=np.float64)

    def _digit(self, pair: tuple[str, str]) -> float:
        text = f"{self._prompt.prefix()}{self._prompt.tail(*pair)}".encode(errors="replace").decode()
        try:
            if self._tells_log_p:
                value = self._calls.make(self._request(text, {}), digit_in, prompt=text, reply_tokens=1)
                if value is not None:
                    return value
                self._tells_log_p = False
            made = self._calls.make(self._request(text, {"form": True}), number_in, prompt=text, reply_tokens=16)
            return float("nan") if made is None else float(made)
        except CallError:
            return float("nan")

    def _request(self, text: str, how: dict[str, bool]) -> Callable[[], Any]:
        client, model = self._llm.client, self._entry.model
        settings: dict[str, Any] = {"model": model, "temperature": 0}
        if self._entry.api == "chat":
            settings["messages"] = [{"role": "user", "content": text}]
            form = {"response_format": _FORM, "max_tokens": 16}
            settings |= form if how else {"logprobs": True, "top_logprobs": _TOP, "max_tokens": 1}
            return lambda: client.chat.completions.create(**settings)
        settings |= {"max_tokens": 4} if how else {"logprobs": _TOP, "max_tokens": 1}
        return lambda: client.completions.create(prompt=text, **settings)


def digit_in(answer: Any) -> Parsed:
    """Read the expected digit of the first token, or None where the answer holds no log-probabilities of digits."""
    found = plain(answer)
    logs = first_choice(found).get("logprobs")
    shares: dict[float, float] = {}
    for token, log_p in _top(logs) if isinstance(logs, dict) else []:
        digit = _DIGITS.get(str(token).strip())
        if digit is not None and isinstance(log_p, int | float) and log_p <= 1e-6:
            shares[digit] = shares.get(digit, 0.0) + math.exp(log_p)
    mass = sum(shares.values())
    value = sum(digit * share for digit, share in shares.items()) / mass if mass >= _LEAST_MASS else None
    return Parsed(value, *usage_of(found))


def number_in(answer: Any) -> Parsed:
    """Read the number of an answer, in JSON or in words; None where there is none between 0 and 5."""
    found = plain(answer)
    choice = first_choice(found)
    message = choice.get("message")
    text = message.get("content") if isinstance(message, dict) else choice.get("text")
    if not isinstance(text, str):
        raise MalformedError("no text in it")
    return Parsed(_number(text), *usage_of(found))


def _number(text: str) -> float | None:
    try:
        told = json.loads(text)
        told = told.get("score") if isinstance(told, dict) else told
        if isinstance(told, int | float) and not isinstance(told, bool):
            return float(told) if 0 <= told <= 5 else None
    except ValueError:
        pass
    number = _NUMBER.search(text)
    value = float(number[1].replace(",", ".")) if number else None
    return value if value is None or value <= 5 else None


def _top(logs: dict[str, Any]) -> list[tuple[Any, Any]]:
    """Best tokens of the first position, in the form of a chat or of a completion."""
    content, top = logs.get("content"), logs.get("top_logprobs")
    if isinstance(content, list) and content and isinstance(content[0], dict):
        listed = content[0].get("top_logprobs") or []
        return [(one.get("token"), one.get("logprob")) for one in listed if isinstance(one, dict)]
    if isinstance(top, list) and top and isinstance(top[0], dict):
        return list(top[0].items())
    return []
