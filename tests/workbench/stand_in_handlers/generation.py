"""Generates instantly: one triplet per premise, in batches, stopping where it is asked to."""

import json
import time
from typing import Any

from workbench.jobs.context import JobContext
from workbench.jobs.kinds import GenerateSpec


def run_generate(context: JobContext[GenerateSpec]) -> None:
    text = context.spec.origin
    wanted = json.loads(text) if text.startswith("{") else {}
    premises = _premises(context, wanted)
    done = context.done("triplets", "triplet_id")
    total, batch = len(premises), int(wanted.get("batch", 4))
    waiting = [premise for premise in premises if f"{context.job_id}-{premise[0]}" not in done]
    context.progress(len(done), total)
    for start in range(0, len(waiting), batch):
        if context.stop_requested():
            return
        chunk = waiting[start : start + batch]
        context.write([_row(context.job_id, premise_id, text) for premise_id, text in chunk])
        with (context.out / "acknowledged").open("a") as file:  # what the world outside was told is safe
            file.write("".join(f"{context.job_id}-{premise_id}\n" for premise_id, _ in chunk))
        context.progress(len(done) + start + len(chunk), total, message=f"batch of {len(chunk)}")
        time.sleep(wanted.get("delay_s", 0.0))


def _premises(context: JobContext[GenerateSpec], wanted: dict[str, Any]) -> list[tuple[str, str]]:
    """Read the job's table, or count up to a number: that spares a killed worker the loading of pandas."""
    if "count" in wanted:
        return [(f"p{i}", f"sentence {i}") for i in range(wanted["count"])]
    return list(context.input()[["premise_id", "text"]].itertuples(index=False, name=None))


def _row(attempt_id: str, premise_id: str, text: str) -> dict[str, object]:
    return {
        "table": "triplets",
        "triplet_id": f"{attempt_id}-{premise_id}",
        "attempt_id": attempt_id,
        "premise_id": premise_id,
        "premise": text,
        "positive": f"positive of {text}",
        "hard_negative": f"no {text}",
        "positive_raw": f" positive of {text}",
        "hard_negative_raw": f" no {text}",
        "positive_outcome": "ok",
        "hard_negative_outcome": "copy" if premise_id.endswith("7") else "ok",
        "contrast": "token",
        "omega": 0.5,
        "seed": 0,
        "llm": "stand-in",
        "prompt_set": "default",
        "tokens": 3,
        "origin": "generated",
    }
