"""The check of an LLM: does it load or answer, its window, its speed, and the contrast it is capable of."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Event
from typing import Any

import openai

from pipeline.config import GenerationConfig
from pipeline.generation.clean_up import has_words, without_reasoning
from pipeline.generation.llms import retries
from pipeline.generation.llms.endpoints import origin_of
from pipeline.generation.llms.loading import open_llm
from pipeline.generation.llms.meter import Meter
from pipeline.generation.llms.protocol import LLM, Ask, Reply
from pipeline.generation.llms.refused_settings import sent_settings, without_refused
from pipeline.generation.llms.registry import LLMEntry, digest_of
from pipeline.generation.llms.remote import RemoteLLM
from pipeline.generation.llms.responses import written_log_p
from pipeline.generation.llms.retries import CallError, Calls, Parsed, Patience, ServerError
from pipeline.generation.prompt_sets import prompt_set
from pipeline.records import Contrast, InputError, Side

_PREMISES = (
    "A woman in a red coat is waiting for the bus.",
    "The museum is closed on Mondays.",
    "How long does it take to boil an egg?",
    "Two boys are throwing stones into the lake.",
)
_TOKENS = 24


@dataclass(frozen=True, slots=True)
class LLMFacts:
    """What a check found. `entry` is the entry with what had to be found out filled in."""

    entry: LLMEntry
    contrast: Contrast
    context_length: int | None
    tokens_per_s: float
    load_s: float
    sample: str
    """What it wrote as the positive of the first premise."""


def check(entry: LLMEntry, *, tell: Callable[[str], None] = lambda _message: None) -> LLMFacts:
    """Open an LLM, let it write a few replies, and return what was found.

    Raises InputError or WeightsError with one sentence when it cannot be used.
    """
    tell("Reading the weights" if entry.kind != "remote" else "Asking the server")
    since = time.monotonic()
    context_length = None
    if entry.kind == "remote":
        entry, context_length = explored(entry)
    entry = replace(entry, digest=digest_of(entry))
    llm = open_llm(entry)
    load_s = time.monotonic() - since
    try:
        tell("Writing a few sentences")
        sample, rate = _rate(llm)
        return LLMFacts(entry, llm.contrast, context_length or llm.context_length, rate, load_s, sample)
    finally:
        llm.close()


def _is_all_thought(reply: Reply) -> bool:
    text, is_open = without_reasoning(reply.raw)
    return is_open and not has_words(text)


def _rate(llm: LLM) -> tuple[str, float]:
    """Return one reply and the tokens of replies per second, several side by side as in a run."""
    config = GenerationConfig(omega=0.0, max_new_tokens=_TOKENS)
    asks = (Ask(key, premise, key) for key, premise in enumerate(_PREMISES))
    since = time.monotonic()
    replies = list(llm.replies(asks, prompt_set(config.prompt_set), config, lambda: False))
    seconds = max(time.monotonic() - since, 1e-6)
    failed = next((reply for reply in replies if reply.problem is not None), None)
    if failed is not None:
        raise InputError(
            f"{llm.name} could not write a sentence ({failed.reason or failed.problem}); choose another."
        )
    thinking = [reply for reply in replies if _is_all_thought(reply)]
    if len(thinking) == len(replies):
        most = max(reply.tokens for reply in thinking)
        raise InputError(
            f"{llm.name} wrote no sentence: all {most} tokens went into its reasoning; switch it off at the server, "
            "or choose a model that answers at once."
        )
    first = next(reply for reply in replies if reply.key == 0 and reply.side is Side.POSITIVE)
    return first.raw.strip(), sum(reply.tokens + 1 for reply in replies) / seconds


_PROMPT = "The capital of France is Paris.\nThe capital of Italy is"
_ECHO_TOLERANCE_NATS = 0.1
"""Per token: servers round, and quantised weights give other last digits in another batch."""
_TOKENS_SERVER_CHECK = 8
_VERSION = re.compile(r"/(?:v\d\w*|openai)(?:/|$)")
_WHOLE_PATH = re.compile(r"/(?:(?:chat/)?completions|models)$")
"""What is sometimes copied along with the address."""


class _NotHereError(InputError):
    """There is a server at this address, but not its API."""


def explored(entry: LLMEntry, *, patience: Patience | None = None) -> tuple[LLMEntry, int | None]:
    """Return the entry with all that had to be found out, and the context length if the server says.

    Found out are address (with /v1 where the API is there), model, API, settings that the server refuses, and
    `scores_prompts`. Raises InputError when the server does not answer, refuses, or serves another model.
    """
    address = _WHOLE_PATH.sub("", entry.location.rstrip("/"))
    patience = patience or Patience(attempts=3)
    try:
        return _explored(replace(entry, location=address), patience)
    except _NotHereError as first:
        if _VERSION.search(address):
            raise
        try:
            return _explored(replace(entry, location=f"{address}/v1"), patience)
        except _NotHereError:
            raise first from None


def _explored(entry: LLMEntry, patience: Patience) -> tuple[LLMEntry, int | None]:
    if entry.key_variable and not entry.key_origin:
        entry = replace(entry, key_origin=origin_of(entry.location))
    llm = RemoteLLM(replace(entry, scores_prompts=False), patience=patience)
    calls = Calls(Meter(), patience=patience, stop=Event(), secret=llm.secret)
    try:
        model, context_length = _model(llm, calls)
        llm.entry = replace(llm.entry, model=model)
        _settle_api(llm, calls)
        scores = llm.entry.api == "completions" and _echo_is_true(llm, calls)
        return replace(llm.entry, scores_prompts=scores), context_length
    except (CallError, ServerError) as error:
        message = f"The server of {entry.name} could not be asked: {str(error).rstrip('.')}."
        raise (_NotHereError if _is_absent(error) else InputError)(message) from error
    finally:
        llm.close()


def _model(llm: RemoteLLM, calls: Calls) -> tuple[str, int | None]:
    wanted = llm.entry.model
    try:
        models = calls.make(llm.client.models.list, _models, prompt="", reply_tokens=0)
    except (ServerError, CallError) as error:
        if not _is_absent(error):
            raise
        models = {}  # a server without a list can still serve
    names = ", ".join(sorted(models)[:20])
    if not wanted:
        if len(models) != 1:
            message = f"Name the model of {llm.name}: the server {f'has {names}' if names else 'lists none'}."
            raise InputError(message) if models else _NotHereError(message)
        [wanted] = models
    elif models and wanted not in models:
        alike = [name for name in models if _is_alias(wanted, name)]
        if len(alike) != 1:
            raise InputError(f"The server of {llm.name} has no model {wanted!r}; it has {names}.")
        [wanted] = alike
    return wanted, models.get(wanted)


def _is_alias(wanted: str, listed: str) -> bool:
    """Whether servers take one name for the other: case, the tag "latest", the folder in front."""
    one, other = wanted.casefold(), listed.casefold()
    return other in (one, f"{one}:latest") or other.endswith(f"/{one}") or one == f"{other}:latest"


def _models(answer: Any) -> Parsed:
    """Read a list of models: id -> context length where the server says it (vLLM does)."""
    listed = retries.plain(answer).get("data")
    models = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    found: dict[str, int | None] = {}
    for one in models:
        length = one.get("max_model_len")
        found[str(one.get("id"))] = length if isinstance(length, int) else None
    return Parsed(found, 0, 0)


def _settle_api(llm: RemoteLLM, calls: Calls) -> None:
    """Note in the LLM's entry its API and what it refuses of the settings.

    That is completions where the server has them, as the prompts are written for it, else chat.
    """
    for api in [llm.entry.api] if llm.entry.api else ["completions", "chat"]:
        llm.entry = replace(llm.entry, api=api)
        try:
            _write_something(llm, calls)
            return
        except (ServerError, CallError) as error:
            if api == "chat" or not _is_absent(error):
                raise
            failed = error
    raise failed


def _write_something(llm: RemoteLLM, calls: Calls) -> None:
    """Ask for a few tokens, again without each setting that is refused."""
    while True:
        try:
            llm.write(calls, _PROMPT, GenerationConfig(omega=0.0, max_new_tokens=_TOKENS_SERVER_CHECK), 0)
            return
        except CallError as error:
            entry = without_refused(llm.entry, error)
            if entry is None:
                raise
            llm.entry = entry


def _is_absent(error: BaseException) -> bool:
    """Whether an error may mean that the server has no such call, rather than that it has no use for us."""
    cause = error.__cause__
    if isinstance(cause, openai.APIStatusError):
        return cause.status_code in (400, 404, 405, 422, 501)
    return isinstance(cause, retries.MalformedError | retries.ErrorBodyError)


def _echo_is_true(llm: RemoteLLM, calls: Calls) -> bool:
    """Whether the server's log-probabilities of a prompt are those it gave while writing the same words.

    Some servers ignore the wish, some shift the values by a token: only those that agree with themselves are used.
    """
    try:
        text, written = calls.make(
            lambda: llm.client.completions.create(
                prompt=_PROMPT,
                **sent_settings(
                    llm.entry, model=llm.entry.model, max_tokens=_TOKENS_SERVER_CHECK, temperature=0, logprobs=1
                ),
            ),
            written_log_p,
            prompt=_PROMPT,
            reply_tokens=_TOKENS_SERVER_CHECK,
        )
        echoed = llm.reply_log_p(calls, _PROMPT, text) if text else None
    except (CallError, ServerError):
        return False
    if written is None or echoed is None:
        return False
    return abs(sum(written) - echoed) < _ECHO_TOLERANCE_NATS * len(written)
