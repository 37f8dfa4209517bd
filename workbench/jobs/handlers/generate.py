"""Stage 1 as a job: every premise of the input becomes one journal row with an outcome per side."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from time import monotonic
from typing import Any

from pipeline.config import GenerationConfig, from_fields
from pipeline.generation.generate import generate
from pipeline.generation.llms.entries import LLMEntry, entry_for, open_llm
from pipeline.generation.prompt_sets import prompt_set
from pipeline.generation.prompts import PromptSet
from pipeline.records import GeneratedTriplet, Premise
from workbench.jobs.context import JobContext

FLUSH_SECONDS = 1.0
"""Longest time a finished row waits for its fsync: what a kill can cost."""


def run(context: JobContext) -> None:
    """Generate for the premises that the journal does not hold yet."""
    config = from_fields(GenerationConfig, context.spec["config"])
    frame = context.input()
    done = context.done("triplets", "premise_id")
    waiting = [Premise(i, text) for i, text in zip(frame["premise_id"], frame["text"], strict=True) if i not in done]
    context.progress(len(done), len(frame), message=f"Loading {config.llm}")
    stored = context.spec.get("llm")
    llm = open_llm(LLMEntry.from_json(stored) if stored else entry_for(config.llm))
    counts: Counter[str] = Counter()
    finished = len(done)
    prompts = prompts_of(context.spec, config)
    stream = generate(waiting, config, llm, prompts=prompts, should_stop=lambda: context.stop_requested() is not None)
    for batch in in_batches(stream):
        context.write([row(context.job_id, context.spec.get("origin", ""), config, item) for item in batch])
        finished += len(batch)
        for item in batch:
            counts[f"positive {item.positive.outcome}"] += 1
            counts[f"hard negative {item.hard_negative.outcome}"] += 1
        context.progress(finished, len(frame), message="Generating", outcomes=dict(counts))


def prompts_of(spec: dict[str, Any], config: GenerationConfig) -> PromptSet:
    """Return the prompts that the job was given whole; one of an earlier version names a shipped set only."""
    kept = spec.get("prompts")
    return PromptSet.from_json(kept) if kept else prompt_set(config.prompt_set)


def in_batches(stream: Iterator[GeneratedTriplet]) -> Iterator[list[GeneratedTriplet]]:
    """Group a stream by time, so that the journal is synced about once a second and not once a row."""
    batch: list[GeneratedTriplet] = []
    since = monotonic()
    for item in stream:
        batch.append(item)
        if monotonic() - since >= FLUSH_SECONDS:
            yield batch
            batch, since = [], monotonic()
    if batch:
        yield batch


def row(attempt_id: str, origin: str, config: GenerationConfig, item: GeneratedTriplet) -> dict[str, Any]:
    """Return the journal row of one generated triplet."""
    settings = asdict(config)
    return {
        "table": "triplets",
        "triplet_id": f"{attempt_id}-{item.premise.premise_id}",
        "attempt_id": attempt_id,
        "premise_id": item.premise.premise_id,
        "premise": item.premise.text,
        "positive": item.positive.text,
        "hard_negative": item.hard_negative.text,
        "positive_raw": item.positive.raw,
        "hard_negative_raw": item.hard_negative.raw,
        "positive_outcome": str(item.positive.outcome),
        "hard_negative_outcome": str(item.hard_negative.outcome),
        "contrast": str(item.contrast),
        "tokens": item.positive.tokens + item.hard_negative.tokens,
        "origin": origin,
        **{name: settings[name] for name in ("omega", "seed", "llm", "prompt_set")},
    }
