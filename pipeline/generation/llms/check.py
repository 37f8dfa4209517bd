"""The check of an LLM: does it load or answer, its window, its speed, and the contrast it is capable of."""

import json
import re
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from threading import Event
from typing import Any, Final, Literal

import openai

from pipeline.config import GenerationConfig
from pipeline.generation.clean_up import has_words, without_reasoning
from pipeline.generation.llms import retries, token_ids
from pipeline.generation.llms.endpoints import origin_of
from pipeline.generation.llms.loading import open_llm
from pipeline.generation.llms.meter import Meter
from pipeline.generation.llms.protocol import LLM, Ask, Reply
from pipeline.generation.llms.refused_settings import refusal_text
from pipeline.generation.llms.registry import LLMEntry, digest_of
from pipeline.generation.llms.remote import RemoteLLM
from pipeline.generation.llms.responses import Written, written_log_p
from pipeline.generation.llms.retries import CallError, Calls, Parsed, Patience, ServerError
from pipeline.generation.llms.templates import form_of, says_instruct, template_of
from pipeline.generation.prompt_sets import prompt_set
from pipeline.generation.prompts import FewShot
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
    if entry.kind != "remote":
        entry = replace(entry, speaks=_form_here(replace(entry, speaks="")))
    since = time.monotonic()
    with closing(open_llm(entry)) as llm:
        load_s = time.monotonic() - since
        tell("Writing a few sentences")
        replies, rate = _written(llm)
        first = next(reply for reply in replies if reply.key == 0 and reply.side is Side.POSITIVE)
        length = context_length or llm.context_length
        return LLMFacts(entry, llm.contrast, length, rate, load_s, first.raw.strip())


def _form_here(entry: LLMEntry) -> Literal["completion", "chat"]:
    """Return what the form auto means for a model of this machine.

    Where there is a chat template and the name says nothing, the model answers in it: one that follows instructions
    ends most of its turns by itself.
    """
    if entry.form != "auto" or says_instruct(entry) is not None or template_of(entry) is None:
        return form_of(entry)
    try:
        with closing(open_llm(replace(entry, speaks="chat"))) as llm:
            replies, _ = _written(llm, tokens=2 * _TOKENS)
    except InputError:  # a template that cannot be used
        return "completion"
    ended = sum(not reply.cut and has_words(reply.raw) for reply in replies)
    return "chat" if 2 * ended > len(replies) else "completion"


def _is_all_thought(reply: Reply) -> bool:
    text, is_open = without_reasoning(reply.raw)
    return is_open and not has_words(text)


def _written(llm: LLM, *, tokens: int = _TOKENS) -> tuple[list[Reply], float]:
    """Return a few replies and their tokens per second, several side by side as in a run."""
    config = GenerationConfig(omega=0.0, max_new_tokens=tokens)
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
    return replies, sum(reply.tokens + 1 for reply in replies) / seconds


_PROMPT = "The capital of France is Paris.\nThe capital of Italy is"
_ECHO_TOLERANCE_NATS = 0.1
"""Per token: servers round, and quantised weights give other last digits in another batch."""
_TOKENS_SERVER_CHECK = 8
_LAST_TURNS = 2
"""Place of the last way of asking that forms.turns yields."""
_FEW_TOKENS = GenerationConfig(omega=0.0, max_new_tokens=_TOKENS_SERVER_CHECK)
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
        fresh: dict[str, Any] = {"turns": 0, "thinking": "", "reasons": False}
        llm.entry = replace(llm.entry, model=model, **fresh)
        _settle_api(llm, calls)
        scores = llm.entry.api == "completions" and _echo_is_true(llm, calls)
        if llm.entry.token_contrast:
            _check_lists(llm, calls)
        elif _prefers_chat(llm.entry, scores=scores) and _settled_chat(llm, calls):
            scores = False
        return replace(llm.entry, scores_prompts=scores), context_length
    except (CallError, ServerError) as error:
        message = (
            f"The server of {entry.name} could not be asked ({str(error).rstrip('.')}): start it, or correct its "
            "address, model or key, and check again."
        )
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
    """Note in the LLM's entry its API, its form and what it refuses of the settings.

    That is chat where the form is a chat, else completions where the server has them.
    """
    wanted = ["chat"] if llm.entry.form == "chat" else [llm.entry.api] if llm.entry.api else ["completions", "chat"]
    for api in wanted:
        llm.entry = _asked_by(llm.entry, api)
        try:
            _write_something(llm, calls)
            return
        except (ServerError, CallError) as error:
            if api == "chat" or not _is_absent(error):
                raise
            failed = error
    raise failed


def _asked_by(entry: LLMEntry, api: str) -> LLMEntry:
    """Return the entry with an API, and the form that auto means with it."""
    return replace(entry, api=api, speaks="chat" if api == "chat" and entry.form != "completion" else "completion")


def _check_lists(llm: RemoteLLM, calls: Calls) -> None:
    """Refuse the contrast token by token where the server does not show its best tokens."""
    name = llm.entry.name
    if llm.entry.api != "completions":
        raise InputError(f"The server of {name} has no completions, which the contrast token by token asks for.")
    try:
        listed = llm.best_tokens(calls, _PROMPT)
    except (CallError, ServerError) as error:
        raise InputError(f"The server of {name} shows no log-probabilities of its best tokens ({error}).") from error
    if len(listed) < 2:
        raise InputError(f"The server of {name} shows {len(listed)} of its best tokens: the contrast needs several.")
    llm.entry = replace(llm.entry, token_ids=token_ids.way_of(llm, calls, _PROMPT))


def _prefers_chat(entry: LLMEntry, *, scores: bool) -> bool:
    """Whether a server that has completions is rather asked in turns: an instruct model, and no contrast to lose."""
    return entry.api == "completions" and entry.form == "auto" and bool(says_instruct(entry)) and not scores


def _settled_chat(llm: RemoteLLM, calls: Calls) -> bool:
    """Go over to chat where the server has it."""
    before = llm.entry
    llm.entry = _asked_by(before, "chat")
    try:
        _write_something(llm, calls)
    except (ServerError, CallError):
        llm.entry = before
        return False
    return True


_FEW_SHOT: Final = FewShot("Name the capital.", (("France", "Paris"),))
_ROLES: Final = re.compile(r"system|role|alternat|template", re.IGNORECASE)
_SWITCHES: Final[tuple[dict[str, Any], ...]] = (
    {"chat_template_kwargs": {"enable_thinking": False}},
    {"reasoning_effort": "none"},
    {"reasoning_effort": "minimal"},
    {"reasoning_effort": "low"},
)
"""What servers call the switch of a model's thinking, the farthest down first."""


def _write_something(llm: RemoteLLM, calls: Calls) -> None:
    """Ask for a few tokens, in the turns that the server takes, and keep the model from thinking."""
    written = _written_few(llm, calls)
    if written.is_thought_over and llm.entry.api == "chat":
        _quieten(llm, calls)


def _quieten(llm: RemoteLLM, calls: Calls) -> None:
    """Note what keeps the model from thinking; where nothing does, what makes it think the least."""
    plain, quietest = llm.entry, None
    for switch in _SWITCHES:
        llm.entry = replace(plain, thinking=json.dumps(switch))
        try:
            if not _written_few(llm, calls).is_thought_over:
                return
        except (CallError, ServerError):
            continue
        quietest = quietest or llm.entry
    llm.entry = replace(quietest or plain, reasons=True)


def _written_few(llm: RemoteLLM, calls: Calls) -> Written:
    asked = (_FEW_SHOT, "Italy") if form_of(llm.entry) == "chat" else (FewShot(""), _PROMPT)
    while True:
        try:
            return llm.write(calls, *asked, _FEW_TOKENS, 0)
        except CallError as error:
            is_last = form_of(llm.entry) == "completion" or llm.entry.turns == _LAST_TURNS
            if is_last or not _ROLES.search(refusal_text(error)):
                raise
            llm.entry = replace(llm.entry, turns=llm.entry.turns + 1)


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
            lambda: llm.create(
                "completions", prompt=_PROMPT, max_tokens=_TOKENS_SERVER_CHECK, temperature=0, logprobs=1
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
