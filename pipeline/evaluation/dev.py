"""The score followed during training: STSB-dev where a folder has it."""

from collections.abc import Callable
from pathlib import Path

from pipeline.evaluation.benchmark import Encoder, dev_score
from pipeline.evaluation.sts import find_tasks, read_task

DEV_TASK = "STSB-dev"


def folder_dev_score(sts_dir: Path | None) -> Callable[[Encoder], float] | None:
    """Return the function that scores an encoder on STSB-dev of this folder, or None when there is none."""
    path = find_tasks(sts_dir, for_tuning=True).get(DEV_TASK) if sts_dir else None
    return dev_score(read_task(DEV_TASK, path)) if path else None
