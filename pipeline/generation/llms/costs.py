"""What a run over a server will cost, before it begins."""

from pipeline.config import GenerationConfig
from pipeline.generation.llms.meter import Usage
from pipeline.generation.llms.registry import LLMEntry
from pipeline.generation.prompts import PromptSet
from pipeline.records import Side

_CHARS_PER_TOKEN = 4
BATCH_SHARE = 0.5
"""Of the usual prices, what providers charge for calls in a batch."""


def expected_usage(entry: LLMEntry, config: GenerationConfig, prompts: PromptSet, premises: list[str]) -> Usage:
    """Return calls, tokens and money for these premises at the entry's prices.

    A reply is taken to be as long as its premise, a token to have four characters, and every prompt to be charged in
    full, whatever the server keeps in its cache.
    """
    calls = prompt_tokens = reply_tokens = 0
    by_token = entry.token_contrast and config.omega > 0
    for premise in premises:
        reply = min(config.max_new_tokens, len(premise) // _CHARS_PER_TOKEN + 1)
        for side in Side:
            own, other = (
                len(one.prefix() + one.tail(premise)) // _CHARS_PER_TOKEN
                for one in (prompts.own(side), prompts.opposite(side))
            )
            if by_token:  # the token that ends it is asked for as well
                steps = reply + 1
                calls += 2 * steps
                prompt_tokens += (own + other) * steps + reply * steps
                reply_tokens += 2 * steps
            else:
                calls += 1
                prompt_tokens += own
                reply_tokens += reply + (config.reasoning_tokens if entry.reasons else 0)
    each = config.candidates
    share = BATCH_SHARE if entry.batch_api else 1.0
    money = (prompt_tokens * entry.price_in + reply_tokens * entry.price_out) * share / 1e6
    return Usage(calls * each, prompt_tokens * each, reply_tokens * each, money * each)
