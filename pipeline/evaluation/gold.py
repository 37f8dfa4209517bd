"""Gold pairs to fit a judge's curve on: which file of a folder they come from, and the scale of its scores."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.evaluation.sts import StsTask, find_tasks, read_task
from pipeline.records import InputError

GOLD_PAIRS = 500
"""Gold pairs scored for a calibration: enough for an isotonic curve, seconds with the embedded LLM."""
_SCALES = ((0.0, 1.0), (1.0, 5.0), (0.0, 4.0), (0.0, 5.0))
"""Scales of published similarity scores; the first that holds every score of a file is its scale."""


@dataclass(frozen=True, slots=True)
class GoldPairs:
    """Pairs of sentences that people scored."""

    name: str
    pairs: list[tuple[str, str]]
    gold: np.ndarray
    """float64 (pairs,), on the scale 0..5 whatever the file's own."""


def tuning_tasks(folder: Path) -> dict[str, Path]:
    """Return the files of this folder meant for tuning: STSB-dev, other -dev files, then -train files.

    Raises InputError when there is none.
    """
    tasks = {
        name: path for name, path in find_tasks(folder, for_tuning=True).items() if name.endswith(("-dev", "-train"))
    }
    if not tasks:
        raise InputError(
            f"{folder} holds no -dev or -train file to calibrate a judge on: add one, or leave the folder out."
        )
    order = sorted(tasks, key=lambda task: (not task.endswith("-dev"), not task.startswith("STSB"), task))
    return {name: tasks[name] for name in order}


def gold_pairs(folder: Path, *, task: str = "", count: int = GOLD_PAIRS) -> GoldPairs:
    """Return some pairs of a task of the folder, the same ones each time; by default of the first of its tasks.

    Raises InputError for a task that is not there, and for scores on no known scale.
    """
    tasks = tuning_tasks(folder)
    name = task or next(iter(tasks))
    if name not in tasks:
        raise InputError(f"{folder} has no task {name} to calibrate on; it has {', '.join(tasks)}.")
    read = read_task(name, tasks[name])
    low, high = gold_scale(read)
    chosen = np.random.default_rng(0).permutation(len(read))[:count]
    gold = (read.gold[chosen] - low) / (high - low) * 5.0
    return GoldPairs(name, [(read.sentence1[i], read.sentence2[i]) for i in chosen], gold)


def gold_scale(task: StsTask) -> tuple[float, float]:
    """Return the lowest and the highest score the task's pairs could have.

    The scale is read off all scores of the file: 0..1, 1..5, 0..4 or 0..5, the first that holds them all. SemEval's
    tasks (STS12 to STS16, STSB) are known to use 0..5 and keep it even when no pair is below 1 or above 4.

    Raises:
        InputError: for scores on another scale.
    """
    lowest, highest = float(task.gold.min()), float(task.gold.max())
    fitting = [(low, high) for low, high in _SCALES if low <= lowest and highest <= high]
    if not fitting:
        raise InputError(
            f"{task.name} has gold scores from {lowest:g} to {highest:g}; a judge is calibrated on scores of 0 to 1, "
            "0 to 4, 0 to 5 or 1 to 5: convert them."
        )
    return _SCALES[-1] if task.name.startswith("STS") and highest > 1 else fitting[0]
