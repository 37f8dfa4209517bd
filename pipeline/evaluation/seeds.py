"""What several seeds say together."""

from collections.abc import Sequence

import numpy as np


def mean_interval(scores: Sequence[float], *, level: float = 0.95) -> tuple[float, float]:
    """Return the Student t interval of the mean over seeds; NaN ends when there are fewer than two scores.

    scores: one value per seed, assumed independent draws of one arm. mean +- t(level, n - 1) * sd / sqrt(n).
    """
    if len(scores) < 2:
        return float("nan"), float("nan")
    from scipy.stats import t

    values = np.asarray(scores, dtype=np.float64)
    half = float(t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return float(values.mean()) - half, float(values.mean()) + half
