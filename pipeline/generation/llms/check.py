"""The check of an LLM: does it load or answer, its window, its speed, and the contrast it is capable of."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from pipeline.config import GenerationConfig
from pipeline.errors import InputError
from pipeline.generation.llms.digests import digest_of
from pipeline.generation.llms.entries import LLMEntry
from pipeline.generation.llms.opening import open_llm
from pipeline.generation.llms.protocol import LLM, Ask, Reply
from pipeline.generation.prompt_sets import prompt_set
from pipeline.generation.unwrapping import has_words, without_reasoning
from pipeline.records import Contrast, Side

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
    from pipeline.generation.llms.server_check import explored

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
