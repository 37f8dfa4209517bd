"""What a check finds out about a server: its model, its API, its window, and whether its echo can be trusted."""

from dataclasses import replace
from threading import Event
from typing import Any

import openai

from pipeline.config import GenerationConfig
from pipeline.errors import InputError
from pipeline.generation.llms.answers import written_log_p
from pipeline.generation.llms.calls import CallError, Calls, Parsed, Patience, ServerError, plain
from pipeline.generation.llms.entries import LLMEntry
from pipeline.generation.llms.meter import Meter
from pipeline.generation.llms.remote import RemoteLLM

_PROMPT = "The capital of France is Paris.\nThe capital of Italy is"
_ECHO_TOLERANCE_NATS = 0.1
"""Per token: servers round, and quantised weights give other last digits in another batch."""
_TOKENS = 8


def explored(entry: LLMEntry, *, patience: Patience | None = None) -> tuple[LLMEntry, int | None]:
    """Return the entry with model, API and `scores_prompts` found out, and the context length if the server says.

    Raises InputError when the server does not answer, refuses, or serves another model.
    """
    patience = patience or Patience(attempts=3)
    llm = RemoteLLM(replace(entry, scores_prompts=False), patience=patience)
    calls = Calls(Meter(), patience=patience, stop=Event(), secret=llm._secret)
    try:
        model, context_length = _model(llm, calls)
        llm.entry = replace(llm.entry, model=model)
        api = entry.api or _api(llm, calls)
        llm.entry = replace(llm.entry, api=api)
        scores = api == "completions" and _echo_is_true(llm, calls)
        return replace(llm.entry, scores_prompts=scores), context_length
    except CallError as error:
        raise InputError(f"The server of {entry.name} could not be asked: {error}.") from error
    finally:
        llm.close()


def _model(llm: RemoteLLM, calls: Calls) -> tuple[str, int | None]:
    wanted = llm.entry.model
    try:
        models = calls.make(llm.client.models.list, _models, prompt="", reply_tokens=0)
    except ServerError:
        models = {}  # a server without a list can still serve
    if not wanted:
        if len(models) != 1:
            names = ", ".join(sorted(models)[:20]) or "none that it lists"
            raise InputError(f"Name the model of {llm.name}: the server has {names}.")
        [wanted] = models
    elif models and wanted not in models:
        raise InputError(
            f"The server of {llm.name} has no model {wanted!r}; it has {', '.join(sorted(models)[:20])}."
        )
    return wanted, models.get(wanted)


def _models(answer: Any) -> Parsed:
    """Read a list of models: id -> context length where it is told (vLLM does)."""
    listed = plain(answer).get("data")
    models = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    found: dict[str, int | None] = {}
    for one in models:
        length = one.get("max_model_len")
        found[str(one.get("id"))] = length if isinstance(length, int) else None
    return Parsed(found, 0, 0)


def _api(llm: RemoteLLM, calls: Calls) -> str:
    """Return completions where the server has them, as the prompts are written for it, else chat."""
    config = GenerationConfig(omega=0.0, max_new_tokens=_TOKENS)
    for api in ("completions", "chat"):
        llm.entry = replace(llm.entry, api=api)
        try:
            llm.write(calls, _PROMPT, config, 0)
            return api
        except (ServerError, CallError) as error:
            if api == "chat" or not _is_absent(error):
                raise
    raise AssertionError("unreachable: chat returns or raises")


def _is_absent(error: Exception) -> bool:
    """Whether an error may mean that the server has no completions, rather than that it has no use for us."""
    cause = error.__cause__
    return isinstance(cause, openai.APIStatusError) and cause.status_code in (400, 404, 405, 422, 501)


def _echo_is_true(llm: RemoteLLM, calls: Calls) -> bool:
    """Whether the server's log-probabilities of a prompt are those it gave while writing the same words.

    Some servers ignore the wish, some shift the values by a token: only those that agree with themselves are used.
    """
    try:
        text, written = calls.make(
            lambda: llm.client.completions.create(
                model=llm.entry.model, prompt=_PROMPT, max_tokens=_TOKENS, temperature=0, logprobs=1
            ),
            written_log_p,
            prompt=_PROMPT,
            reply_tokens=_TOKENS,
        )
        echoed = llm.reply_log_p(calls, _PROMPT, text) if text else None
    except (CallError, ServerError):
        return False
    if written is None or echoed is None:
        return False
    return abs(sum(written) - echoed) < _ECHO_TOLERANCE_NATS * len(written)
