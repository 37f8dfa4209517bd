"""Which rows a step trains on: a function of the seed alone, so that a page can show the first batch before a run."""

from collections.abc import Iterator

import numpy as np


def batches(rows: int, *, batch_size: int, steps: int, seed: int) -> Iterator[np.ndarray]:
    """Yield `steps` batches of row numbers, int64 (min(batch_size, rows),).

    Every pass over the rows is a fresh shuffle. Rows left over at its end open the next batch and come last in the
    next pass: every batch has the same number of negatives, every row its turn, and no batch a row twice.
    With fewer rows than batch_size, a batch is all rows. Raises ValueError for rows < 1.
    """
    if rows < 1:
        raise ValueError(f"rows must be at least 1, got {rows}")
    size = min(batch_size, rows)
    generator = np.random.default_rng(seed)
    waiting = np.empty(0, dtype=np.int64)
    for _ in range(steps):
        if len(waiting) < size:
            shuffled = generator.permutation(rows)
            is_waiting = np.isin(shuffled, waiting)
            waiting = np.concatenate([waiting, shuffled[~is_waiting], shuffled[is_waiting]])
        yield waiting[:size]
        waiting = waiting[size:]


def columns_of(positives: str) -> int:
    """Return how many texts a row has: premise, positive and hard negative, or the premise twice."""
    return 3 if positives == "written" else 2
