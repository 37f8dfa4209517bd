"""The score followed during training: STSB-dev where a folder has it, else held-out triplets."""

from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.evaluation.benchmark import Encoder, dev_score, held_out_accuracy
from pipeline.evaluation.sts import find_tasks, read_task
from pipeline.records import Triplet

DEV_TASK = "STSB-dev"


def folder_dev_score(sts_dir: Path | None) -> Callable[[Encoder], float] | None:
    """Return the function that scores an encoder on STSB-dev of this folder, or None when there is none."""
    path = find_tasks(sts_dir, for_tuning=True).get(DEV_TASK) if sts_dir else None
    return dev_score(read_task(DEV_TASK, path)) if path else None


def held_out_score(triplets: Sequence[Triplet]) -> Callable[[Encoder], float] | None:
    """Return the function that scores an encoder on held-out triplets, or None when there are none."""
    return (lambda encoder: held_out_accuracy(encoder, triplets)) if triplets else None
