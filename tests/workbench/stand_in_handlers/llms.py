"""Counts words for tokens, instantly."""

import json

from pipeline.records import InputError
from workbench.jobs.context import JobContext
from workbench.jobs.kinds import TokensSpec


def run_tokens(context: JobContext[TokensSpec]) -> None:
    if any("unreadable" in text for text in context.spec.texts):
        raise InputError("The LLM is a server, which shows no token probabilities.")
    counts = [len(text.split()) for text in context.spec.texts]
    (context.out / "tokens.json").write_text(json.dumps({"counts": counts, "window": 100}))
    context.progress(len(counts), len(counts))
