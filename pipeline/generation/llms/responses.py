"""Reading a server's answers strictly: what is missing or of another kind is a MalformedError, never a guess."""

import math
from typing import Any, NamedTuple

from pipeline.generation.clean_up import thinks_aloud
from pipeline.generation.llms.retries import ErrorBodyError, MalformedError, Parsed, plain

_ROUNDING_NATS = 1e-6
"""By how much a server's log-probability of a certain token may lie above 0."""


class Written(NamedTuple):
    """A reply as it came."""

    text: str
    tokens: int
    cut: bool
    """Whether it reached the token limit."""
    is_filtered: bool = False
    """Whether the server's content filter ended it."""
    is_thought_over: bool = False
    """Whether the model reasoned before it, or instead of it."""


def read_reply(answer: Any) -> Parsed:
    """Read a completion, or a chat's, as Written.

    What a model thought beside a reply that never began stands in it as a thought that does not end.
    """
    found = plain(answer)
    choice = first_choice(found)
    why = choice.get("finish_reason")
    text = answer_text(choice)
    prompt_tokens, reply_tokens = usage_of(found)
    tokens = reply_tokens if reply_tokens is not None else len(text.split())
    is_cut = why == "length"
    thought = bool(_reasoning_tokens(found)) or thinks_aloud(text) or (is_cut and not text.strip())
    return Parsed(Written(text, tokens, is_cut, why == "content_filter", thought), prompt_tokens, reply_tokens)


def _reasoning_tokens(found: dict[str, Any]) -> int:
    """Return the tokens of hidden reasoning, as OpenAI counts them."""
    usage = found.get("usage")
    details = usage.get("completion_tokens_details") if isinstance(usage, dict) else None
    count = details.get("reasoning_tokens") if isinstance(details, dict) else None
    return count if isinstance(count, int) else 0


def answer_text(choice: dict[str, Any]) -> str:
    """Return the text of a choice: a string, a list of parts or a refusal, behind the thoughts that came beside it.

    Thoughts that took the place of a reply do not end. Raises MalformedError where there is none of all this.
    """
    message = choice.get("message")
    if not isinstance(message, dict):
        return _string(choice.get("text"))
    content = message.get("content")
    if isinstance(content, list):
        thoughts = _parts(content, ("thinking", "reasoning"))
        content = _parts(content, ("text", "output_text")) or None
    else:
        thoughts = message.get("reasoning_content") or message.get("reasoning") or ""
    said = _string(message.get("refusal") or "" if content is None else content)
    if not thoughts:
        return said
    closing = "</think>" if said or choice.get("finish_reason") != "length" else ""
    return f"<think>{thoughts}{closing}{said}"


def _string(text: Any) -> str:
    if not isinstance(text, str):
        raise MalformedError("no text in it")
    return text


def _parts(parts: list[Any], kinds: tuple[str, ...]) -> str:
    """Return the texts of these kinds of parts, in their order; a thought is a text or parts of its own."""
    texts = []
    for part in parts:
        if isinstance(part, str) and "text" in kinds:
            texts.append(part)
        if not isinstance(part, dict) or part.get("type") not in kinds:
            continue
        held = part.get("text") or part.get("thinking") or part.get("reasoning") or ""
        texts.append(_parts(held, ("text",)) if isinstance(held, list) else str(held))
    return "".join(texts)


def echoed_log_p(answer: Any, prompt: str, reply: str) -> Parsed:
    """Read log p(reply | prompt) from an echo with log-probabilities: a float, or None when it holds none.

    The tokens that count are those that begin in the reply. A token across the border counts too: it is part of both.
    """
    found = plain(answer)
    prompt_tokens, reply_tokens = usage_of(found)
    logs = first_choice(found).get("logprobs")
    if not isinstance(logs, dict):
        return Parsed(None, prompt_tokens, reply_tokens)
    tokens, values, offsets = (logs.get(name) for name in ("tokens", "token_logprobs", "text_offset"))
    if not (isinstance(tokens, list) and isinstance(values, list) and len(tokens) == len(values)):
        return Parsed(None, prompt_tokens, reply_tokens)
    if not (isinstance(offsets, list) and len(offsets) == len(tokens)):
        offsets = _offsets(tokens)
    inside = [
        value
        for token, value, start in zip(tokens, values, offsets, strict=True)
        if len(prompt) < start + len(str(token)) and start < len(prompt) + len(reply)
    ]
    is_known = bool(inside) and all(_is_log_p(value) and math.isfinite(value) for value in inside)
    return Parsed(float(sum(inside)) if is_known else None, prompt_tokens, reply_tokens)


def written_log_p(answer: Any) -> Parsed:
    """Read (text, log p of each of its tokens) of a completion; None in place of the list when it holds none."""
    found = plain(answer)
    choice = first_choice(found)
    logs = choice.get("logprobs")
    values = logs.get("token_logprobs") if isinstance(logs, dict) else None
    is_known = isinstance(values, list) and values and all(isinstance(value, int | float) for value in values)
    text = choice.get("text")
    if not isinstance(text, str):
        raise MalformedError("no text in it")
    return Parsed((text, values if is_known else None), *usage_of(found))


def best_tokens(choice: dict[str, Any]) -> list[tuple[str, float]]:
    """Return the first token's best alternatives with their log-probabilities in nats, the best first; or none.

    Completions hold {text: log p} (OpenAI, vLLM, llama-cpp-python), chats and llama.cpp's own server objects.
    """
    logs = choice.get("logprobs")
    logs = logs if isinstance(logs, dict) else {}
    objects, lists = _first(logs.get("content")).get("top_logprobs"), _first(logs.get("top_logprobs"))
    listed: list[tuple[Any, Any]] = list(lists.items())
    if isinstance(objects, list):
        listed = [(_token_text(one), one.get("logprob")) for one in objects if isinstance(one, dict)]
    known = [(text, float(log_p)) for text, log_p in listed if isinstance(text, str) and _is_log_p(log_p)]
    return sorted(known, key=lambda one: -one[1])


def _token_text(token: dict[str, Any]) -> Any:
    """Return what a token spells. Part of a character, for llama.cpp no text but bytes, is U+FFFD."""
    return token.get("token") or ("\ufffd" if token.get("bytes") else token.get("token"))


def _first(places: Any) -> dict[str, Any]:
    return places[0] if isinstance(places, list) and places and isinstance(places[0], dict) else {}


def _is_log_p(value: Any) -> bool:
    return isinstance(value, int | float) and value <= _ROUNDING_NATS


def first_choice(found: dict[str, Any]) -> dict[str, Any]:
    """Return the first choice of an answer; MalformedError if it has none."""
    choices = found.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise MalformedError("no choices in it")
    error = choices[0].get("error")
    if error and choices[0].get("finish_reason") == "error":
        raise ErrorBodyError(str(error.get("message", error) if isinstance(error, dict) else error))
    return choices[0]


def usage_of(found: dict[str, Any]) -> tuple[int | None, int | None]:
    """Return the tokens that were read and written, None where the server does not say."""
    usage = found.get("usage")
    if not isinstance(usage, dict):
        return None, None
    counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    known = [
        count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None for count in counts
    ]
    return known[0], known[1]


def _offsets(tokens: list[Any]) -> list[int]:
    starts, place = [], 0
    for token in tokens:
        starts.append(place)
        place += len(str(token))
    return starts
