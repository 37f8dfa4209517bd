"""Single calls of a server through the `openai` package: retried where that helps, else an error that says why."""

import email.utils
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Lock
from typing import Any

import httpx2
import openai

from pipeline.generation.llms.endpoints import EndpointError
from pipeline.generation.llms.meter import Meter
from pipeline.generation.llms.pace import Pace
from pipeline.records import InputError, Outcome, Stopped

_TRIED_AGAIN = frozenset({408, 409, 425, 429})
_THIS_PROMPT = frozenset({400, 413, 422})
_CHARS_PER_TOKEN = 4
"""For the limit of tokens per minute, before a server has counted them."""
_SHOWN_CHARS = 160
"""Of what a server says."""
_LEAST_KEY_CHARS = 5
"""A shorter key would be found in ordinary words."""
_FILTERED = ("content_filter", "content management policy", "content filter")
_TOO_LONG = ("context length", "context window", "too long", "maximum context", "too many tokens", "exceed")


class ServerError(InputError):
    """Seen by the person whose server refuses every call: wrong key, unknown model, redirect."""


class CallError(Exception):
    """One call failed for good; other calls may go well."""

    def __init__(
        self, message: str, *, is_too_long: bool = False, is_servers_fault: bool = True, is_filtered: bool = False
    ) -> None:
        super().__init__(message)
        self.is_too_long = is_too_long
        self.is_servers_fault = is_servers_fault
        self.is_filtered = is_filtered


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a call is tried, and how long is waited in between when the server does not say."""

    attempts: int = 5
    first_wait_s: float = 0.5
    longest_wait_s: float = 60.0

    def wait_s(self, attempt: int) -> float:
        """Return the wait after this attempt (from 1): twice as long each time, with some jitter."""
        backed_off = min(self.first_wait_s * 2 ** (attempt - 1), self.longest_wait_s)
        return backed_off * random.uniform(0.75, 1.25)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What was found in an answer, with the tokens that the server says it took."""

    value: Any
    prompt_tokens: int | None
    reply_tokens: int | None


Parse = Callable[[Any], Parsed]


class Calls:
    """Makes calls for many threads; a 429 makes all of them wait."""

    def __init__(
        self, meter: Meter, *, patience: Patience, stop: Event, secret: str = "", pace: Pace | None = None
    ) -> None:
        self._meter = meter
        self._pace = pace or Pace()
        self._patience = patience
        self._stop = stop
        self._secret = secret
        self._lock = Lock()
        self._not_before = 0.0

    def make(self, call: Callable[[], Any], parse: Parse, *, prompt: str, reply_tokens: int) -> Any:
        """Return what `parse` finds in the answer of `call`.

        Raises CallError when this call fails for good, ServerError when every call would, BudgetError when there is
        no money for it.
        """
        message, last = "", None
        for attempt in range(1, self._patience.attempts + 1):
            self._wait_for_turn()
            reserved = self._meter.reserve(prompt, reply_tokens)
            wait_s = self._patience.wait_s(attempt)
            try:
                parsed = parse(self._paced(call, len(prompt) // _CHARS_PER_TOKEN + reply_tokens))
                self._meter.settle(reserved, parsed.prompt_tokens, parsed.reply_tokens)
                return parsed.value
            except Stopped:
                self._meter.release(reserved)
                raise
            except openai.APIStatusError as error:
                self._meter.release(reserved)  # refused calls are not charged for
                message = self._message(error)
                self._raise_if_final(error.status_code, message, error.response.text, error)
                asked = retry_after_s(error.response.headers.get("retry-after"))
                wait_s = wait_s if asked is None else min(asked, self._patience.longest_wait_s)
                if error.status_code == 429 or asked is not None:
                    self._hold_everybody(wait_s)
            except openai.APIConnectionError as error:
                cause = error.__cause__
                if isinstance(cause, EndpointError):
                    self._meter.release(reserved)
                    raise ServerError(str(cause)) from error
                if isinstance(cause, httpx2.ConnectError):
                    self._meter.release(reserved)
                else:
                    self._meter.settle(reserved, None, None)  # it may have been charged for
                message = _connection_message(error)
            except EndpointError as error:
                self._meter.release(reserved)
                raise ServerError(str(error)) from error
            except ErrorBodyError as error:
                self._meter.release(reserved)
                message = f"The server answered with an error ({self._clean(str(error))})"
                self._raise_if_final(error.status, message, str(error), error)
            except (openai.OpenAIError, httpx2.HTTPError, MalformedError, ValueError) as error:
                self._meter.settle(reserved, None, None)
                message, last = f"an answer that cannot be used ({self._clean(str(error))})", error
            if attempt < self._patience.attempts:
                self._pause(wait_s)
        raise CallError(f"{message}, {self._patience.attempts} attempts") from last

    def uncharged(self) -> "Calls":
        """Return the same for calls that cost nothing, such as those that count tokens."""
        return Calls(Meter(), patience=self._patience, stop=self._stop, secret=self._secret, pace=self._pace)

    def _paced(self, call: Callable[[], Any], tokens: int) -> Any:
        """Make the call in its turn."""
        begun = self._pace.begin(tokens, self._stop)
        is_limited = False
        try:
            return call()
        except openai.APIStatusError as error:
            is_limited = error.status_code in (429, 503)
            raise
        finally:
            self._pace.end(begun, is_limited=is_limited)

    def _raise_if_final(self, status: int | None, message: str, said: str, error: Exception) -> None:
        """Raise what a status means when trying again cannot help; said: all the server's words."""
        if status is not None and (status in _TRIED_AGAIN or status >= 500):
            return
        if status is None or status in _THIS_PROMPT or status < 300:
            kind = kind_of_refusal(said)
            is_too_long = status == 413 or kind is Outcome.TOO_LONG
            is_filtered = kind is Outcome.REFUSED
            is_its_fault = status is None and not (is_too_long or is_filtered)
            raise CallError(
                message, is_too_long=is_too_long, is_servers_fault=is_its_fault, is_filtered=is_filtered
            ) from error
        if 300 <= status < 400:
            raise ServerError(f"{message}: redirects are not followed, name the server itself.") from error
        raise ServerError(f"{message}: check address, model and key.") from error

    def _message(self, error: openai.APIStatusError) -> str:
        words = error.body.get("message") if isinstance(error.body, dict) else None
        return f"The server answered {error.status_code} ({self._clean(str(words or error.message))})"

    def _clean(self, text: str) -> str:
        """Return a short line without the key, should a server repeat it: it is masked before the line is cut."""
        return masked(" ".join(masked(text, self._secret).split()), self._secret)[:_SHOWN_CHARS]

    def _wait_for_turn(self) -> None:
        while (left := self._not_before - time.monotonic()) > 0:
            self._pause(left)
        if self._stop.is_set():
            raise Stopped

    def _hold_everybody(self, seconds: float) -> None:
        with self._lock:
            self._not_before = max(self._not_before, time.monotonic() + seconds)

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise Stopped


def kind_of_refusal(said: str) -> Outcome:
    """Return what a server's words about a call that it refuses mean for the reply."""
    words = said.lower()
    if any(part in words for part in _FILTERED):
        return Outcome.REFUSED
    return Outcome.TOO_LONG if any(part in words for part in _TOO_LONG) else Outcome.FAILED


class MalformedError(Exception):
    """An answer of the right status lacks what it must hold."""


class ErrorBodyError(Exception):
    """An answer of status 200 whose body is an error; status: the code that the body names."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


def masked(text: str, secret: str) -> str:
    """Return a text without a secret, and without any beginning of it that is long enough to be one."""
    if len(secret) < _LEAST_KEY_CHARS:
        return text
    begins = secret[: max(_LEAST_KEY_CHARS, min(8, len(secret) // 2))]
    parts, place = [], 0
    while (start := text.find(begins, place)) >= 0:
        end = start + next(size for size in range(len(secret), 0, -1) if text.startswith(secret[:size], start))
        parts += [text[place:start], "***"]
        place = end
    return "".join([*parts, text[place:]])


def retry_after_s(header: str | None) -> float | None:
    """Return the seconds a server asks to wait: a number, or an HTTP date; None when it does not say."""
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        moment = email.utils.parsedate_to_datetime(header)
    except (TypeError, ValueError):
        return None
    return max(0.0, moment.timestamp() - time.time())


def plain(answer: Any) -> dict[str, Any]:
    """Return an answer as plain values. Raises MalformedError for one that is no JSON object."""
    if isinstance(answer, str):
        try:
            answer = json.loads(answer)
        except ValueError as error:
            raise MalformedError(f"no JSON: {answer}") from error
    found = answer.model_dump(warnings=False) if hasattr(answer, "model_dump") else answer
    if not isinstance(found, dict):
        raise MalformedError("no JSON object")
    if not found.get("choices") and not found.get("data"):
        _raise_error_in_body(found)
    return found


def _raise_error_in_body(found: dict[str, Any]) -> None:
    """Raise ErrorBodyError where an answer says in its body that it is an error, in whatever form servers do."""
    error = found.get("error") or found.get("detail") or (found if found.get("object") == "error" else None)
    if not error:
        return
    parts = error if isinstance(error, dict) else {}
    words = parts.get("message") or parts.get("msg") or error
    codes = (parts.get("code"), parts.get("status"), parts.get("status_code"), found.get("code"), found.get("status"))
    numbers = [int(str(code)) for code in codes if str(code).isdecimal()]
    status = next((number for number in numbers if 100 <= number < 600), None)
    raise ErrorBodyError(words if isinstance(words, str) else json.dumps(words, ensure_ascii=False), status)


def _connection_message(error: openai.APIConnectionError) -> str:
    if isinstance(error, openai.APITimeoutError):
        return "The server took too long"
    return f"The connection failed ({type(error.__cause__).__name__ if error.__cause__ else 'no answer'})"
