"""Two encoders on the same pairs: difference per task and of the average, each with a paired bootstrap interval."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.statistics import Interval, resample, spearman


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


def compare(tasks: Mapping[str, ScoredPairs], *, seed: int, resamples: int = 1000, level: float = 0.95) -> Comparison:
    """Compare two encoders on the tasks that both were scored on.

    Each task is resampled by itself, as its pairs are a sample of their own; a resample of the average is the mean of
    one resample of each task. Tasks without a defined correlation are left out.
    """
    found: dict[str, Interval] = {}
    samples = []
    for number, (name, pairs) in enumerate(tasks.items()):
        if not np.isfinite(spearman(pairs.first, pairs.gold) + spearman(pairs.second, pairs.gold)):
            continue
        arms = {"first": [{name: pairs.first}], "second": [{name: pairs.second}]}
        drawn = resample(arms, {name: pairs.gold}, seed=seed + number, resamples=resamples)
        found[name] = drawn.difference(["second"], ["first"], level=level)[name]
        samples.append(drawn.values["second"][name] - drawn.values["first"][name])
    if not found:
        return Comparison({}, None)
    mean = float(np.mean([item.value for item in found.values()]))
    return Comparison(found, Interval.of(mean, np.mean(samples, axis=0), level))
