"""Generates instantly: one triplet per premise, in batches, stopping where it is asked to."""

import time

from workbench.jobs.context import JobContext


def run(context: JobContext) -> None:
    premises = context.input()
    done = context.done("triplets", "triplet_id")
    total, batch = len(premises), int(context.spec.get("batch", 4))
    waiting = [row for row in premises.itertuples() if f"{context.job_id}-{row.premise_id}" not in done]
    context.progress(len(done), total)
    for start in range(0, len(waiting), batch):
        if context.stop_requested():
            return
        chunk = waiting[start : start + batch]
        context.write([_row(context.job_id, row.premise_id, row.text) for row in chunk])
        context.progress(len(done) + start + len(chunk), total, message=f"batch of {len(chunk)}")
        time.sleep(context.spec.get("delay_s", 0.0))


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
