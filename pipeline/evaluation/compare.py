"""Two encoders on the same pairs: difference per task and of the average, each with a paired bootstrap interval."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.metrics import Interval, interval, resampled_differences, spearman


@dataclass(frozen=True, slots=True)
class ScoredPairs:
    """Gold scores of a task's pairs and what two encoders predict for them; all float (n,)."""

    gold: np.ndarray
    first: np.ndarray
    second: np.ndarray


@dataclass(frozen=True, slots=True)
class Comparison:
    """Spearman of the second encoder less the first's."""

    tasks: dict[str, Interval]
    average: Interval | None
    """Of the tasks' mean; None without a task that both encoders have."""

    def says_nothing(self, task: str) -> bool:
        """Whether the interval of this task covers zero."""
        return covers_zero(self.tasks[task])


def covers_zero(found: Interval) -> bool:
    """Whether the difference may be nothing."""
    return not (found.low > 0 or found.high < 0)


def compare(tasks: Mapping[str, ScoredPairs], *, seed: int, resamples: int = 1000, level: float = 0.95) -> Comparison:
    """Compare two encoders on the tasks that both were scored on.

    Each task is resampled by itself, as its pairs are a sample of their own; a resample of the average is the mean of
    one resample of each task. Tasks without a defined correlation are left out.
    """
    found: dict[str, Interval] = {}
    drawn = []
    for number, (name, pairs) in enumerate(tasks.items()):
        value = spearman(pairs.second, pairs.gold) - spearman(pairs.first, pairs.gold)
        if not np.isfinite(value):
            continue
        samples = resampled_differences(
            pairs.gold, pairs.second, pairs.first, seed=seed + number, resamples=resamples
        )
        found[name] = interval(value, samples, level)
        drawn.append(samples)
    if not drawn:
        return Comparison({}, None)
    mean = float(np.mean([item.value for item in found.values()]))
    return Comparison(found, interval(mean, np.mean(drawn, axis=0), level))
