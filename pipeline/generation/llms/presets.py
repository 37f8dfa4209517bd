"""Servers by name: where they usually are, what they are sent, and what they are capable of."""

from dataclasses import dataclass, field
from typing import Any, Final

from pipeline.records import InputError


@dataclass(frozen=True, slots=True)
class Preset:
    """What is entered for a kind of server; a check finds out the rest."""

    title: str
    url: str
    about: str
    """What it is capable of, in a sentence or two."""
    settings: dict[str, Any] = field(default_factory=dict)


PRESETS: Final[dict[str, Preset]] = {
    "openai": Preset(
        "OpenAI",
        "https://api.openai.com/v1",
        "Chat only. No log-probabilities of prompts, hence plain replies; reasoning models think as little as they "
        "can.",
        {"key_variable": "OPENAI_API_KEY", "concurrency": 8, "form": "chat"},
    ),
    "vllm": Preset(
        "vLLM",
        "http://127.0.0.1:8000/v1",
        "Completions and chat. Log-probabilities of prompts rerank whole replies; the contrast token by token has "
        "exact scores of the opposite side (logprob_token_ids).",
        {"concurrency": 32},
    ),
    "sglang": Preset(
        "SGLang",
        "http://127.0.0.1:30000/v1",
        "Completions and chat. Log-probabilities of prompts rerank whole replies where they agree with themselves; "
        "the contrast token by token has exact scores of the opposite side (token_ids_logprob).",
        {"concurrency": 32},
    ),
    "llama.cpp": Preset(
        "llama.cpp server",
        "http://127.0.0.1:8080/v1",
        "llama-server: completions and chat with the template of the file (start it with --jinja). No "
        "log-probabilities of prompts; the contrast token by token chooses among its best 20 tokens.",
        {"concurrency": 4},
    ),
    "ollama": Preset(
        "Ollama",
        "http://127.0.0.1:11434/v1",
        "Completions and chat; a prompt longer than its num_ctx is cut without a word. No log-probabilities of "
        "prompts.",
        {"concurrency": 4, "form": "chat"},
    ),
    "lm studio": Preset(
        "LM Studio",
        "http://127.0.0.1:1234/v1",
        "Completions and chat. No log-probabilities of prompts.",
        {"concurrency": 4, "form": "chat"},
    ),
}
"""By name; a host other than this machine's is typed over the address."""


def preset_of(name: str) -> Preset | None:
    """Return a preset by its name, None for an empty one; InputError for any other."""
    if name and name not in PRESETS:
        raise InputError(f"There is no preset {name!r} of a server; choose one of {', '.join(PRESETS)}.")
    return PRESETS.get(name)
