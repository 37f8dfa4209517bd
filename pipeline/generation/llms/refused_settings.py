"""Settings that a server refuses: found out by its check, kept in the entry, and left out or renamed from then on."""

import re
from dataclasses import replace
from typing import Any, Final

import openai

from pipeline.generation.llms.registry import LENGTH_FIELDS, LLMEntry
from pipeline.generation.llms.retries import CallError

_MAY_BE_LEFT_OUT: Final = ("temperature", "top_p", "min_p", "seed", "stop")
_REFUSED: Final = re.compile(
    r"unsupported|not (?:be )?(?:support|permit|allow|recogni|accept)|unrecogni[sz]ed|unknown|unexpected|extra|"
    r"forbidden|only the default|does not support|deprecated|invalid (?:field|parameter|argument)",
    re.IGNORECASE,
)


def sent_settings(entry: LLMEntry, **settings: Any) -> dict[str, Any]:
    """Return settings as this server takes them: its own name for the longest reply, without what it refuses."""
    length = settings.pop("max_tokens", None)
    kept = {name: value for name, value in settings.items() if name not in entry.left_out}
    return kept if length is None else kept | {entry.length_field: length}


def without_refused(entry: LLMEntry, error: CallError) -> LLMEntry | None:
    """Return the entry without the setting that an error is about; None where it is about something else."""
    text = refusal_text(error)
    if entry.length_field == LENGTH_FIELDS[0] and LENGTH_FIELDS[1] in text:
        return replace(entry, length_field=LENGTH_FIELDS[1])
    if not _REFUSED.search(text):
        return None
    for name in _MAY_BE_LEFT_OUT:
        if name not in entry.left_out and is_named(name, text):
            return replace(entry, left_out=(*entry.left_out, name))
    return None


def refusal_text(error: CallError) -> str:
    """Return all that a server says about a request that it refuses; empty for any other error."""
    cause = error.__cause__
    if isinstance(cause, openai.APIStatusError) and cause.status_code in (400, 403, 422):
        return cause.response.text
    return str(error) if not error.is_servers_fault else ""


def is_named(name: str, text: str) -> bool:
    """Whether a message is about this setting; the word "stop" alone may mean anything."""
    quoted = rf"['\"`]{name}['\"`]|(?:property|parameter|field|argument)\W+{name}\b"
    return bool(re.search(quoted if name == "stop" else rf"\b{name}\b", text))
