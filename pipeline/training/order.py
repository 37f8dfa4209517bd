"""Which rows a step trains on: a function of data and seed alone, so a page can show the first batch before a run."""

from collections import Counter, deque
from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.records import InputError, ScoredTriplet, Triplet


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


def has_repeated_texts(texts_nc: np.ndarray) -> bool:
    """Whether two rows could not share a batch of `distinct_batches`; texts_nc as there."""
    first, second = texts_nc[:, 0], texts_nc[:, 1]
    alike = np.concatenate([first, second[second != first]])
    if np.bincount(alike).max(initial=0) > 1:
        return True
    hard = texts_nc[:, 2:]
    return bool(np.isin(hard[(hard != first[:, None]) & (hard != second[:, None])], alike).any())


def distinct_batches(
    texts_nc: np.ndarray, *, batch_size: int, steps: int, seed: int, multiple_of: int = 1
) -> Iterator[np.ndarray]:
    """Yield `steps` batches, int64 (up to batch_size,), where no row's premise or positive is a text of another row.

    Otherwise a text would be pushed away from a row that says the same: with 40 positives of one premise in a batch
    the loss cannot fall below ln 40. NO_DUPLICATES of sentence-transformers likewise, which also parts rows that
    share nothing but a hard negative.

    A row that does not fit waits for the next batch. A batch is smaller only where a whole further pass over the rows
    has none that fits. Rows of a text that repeats more often than batches come get fewer turns than others.

    Args:
        texts_nc: int64 (rows, columns), numbers of a row's premise, positive and hard negatives, -1 where it has
            fewer; equal texts have equal numbers.
        batch_size: rows per batch.
        steps: batches.
        seed: of the shuffling.
        multiple_of: divisor of every batch's size, for processes that share it; a row over waits.

    Raises ValueError where not even `multiple_of` rows fit into a batch.
    """
    texts = [tuple(row) for row in texts_nc.tolist()]
    generator = np.random.default_rng(seed)
    queue: deque[int] = deque()
    waiting: dict[int, deque[int]] = {}  # by the text that kept a row out: at most one of them fits into a batch
    for _ in range(steps):
        batch = _Batch(texts)
        for text in list(waiting):
            if len(batch.rows) == batch_size:
                break
            if batch.obstacle(waiting[text][0]) is None:
                batch.add(waiting[text].popleft())
                if not waiting[text]:
                    del waiting[text]
        passes = 0
        while len(batch.rows) < batch_size and (queue or passes == 0):
            if not queue:
                passes += 1
                queue.extend(_shuffled(generator, len(texts), waiting))
                continue
            row = queue.popleft()
            obstacle = batch.obstacle(row)
            if obstacle is None:
                batch.add(row)
            else:
                waiting.setdefault(obstacle, deque()).append(row)
        over = len(batch.rows) % multiple_of
        queue.extendleft(reversed(batch.rows[len(batch.rows) - over :]))
        rows = batch.rows[: len(batch.rows) - over]
        if not rows:
            raise ValueError(f"of all rows only {over} fit into one batch, fewer than {multiple_of}")
        yield np.array(rows, dtype=np.int64)


def _shuffled(generator: np.random.Generator, rows: int, waiting: dict[int, deque[int]]) -> list[int]:
    """Return the next pass: the rows that wait come last, and not at all where they wait twice already."""
    times = Counter(row for several in waiting.values() for row in several)
    shuffled = generator.permutation(rows).tolist()
    return [row for row in shuffled if not times[row]] + [row for row in shuffled if times[row] == 1]


class _Batch:
    """Rows of a batch so far, and their texts."""

    def __init__(self, texts: list[tuple[int, ...]]) -> None:
        self._texts = texts
        self.rows: list[int] = []
        self._alike: set[int] = set()  # premises and positives
        self._hard: set[int] = set()

    def obstacle(self, row: int) -> int | None:
        """Return the text that keeps a row out, or None."""
        premise, positive, *hard = self._texts[row]
        for text in (premise, positive):
            if text in self._alike or text in self._hard:
                return text
        return next((text for text in hard if text in self._alike), None)

    def add(self, row: int) -> None:
        """Take a row."""
        premise, positive, *hard = self._texts[row]
        self.rows.append(row)
        self._alike |= {premise, positive}
        self._hard |= set(hard)


def in_rows(triplets: Sequence[Triplet], per_row: int) -> list[list[Triplet]]:
    """Put triplets of one premise and one positive together, up to `per_row` in a row, in order of the first."""
    if per_row == 1:
        return [[triplet] for triplet in triplets]
    rows: list[list[Triplet]] = []
    open_row: dict[tuple[str, str], list[Triplet]] = {}
    for triplet in triplets:
        row = open_row.get((triplet.premise, triplet.positive))
        if row is None or len(row) == per_row:
            row = open_row[triplet.premise, triplet.positive] = []
            rows.append(row)
        row.append(triplet)
    return rows


def judge_scores(triplets: Sequence[Triplet], per_row: int) -> np.ndarray:
    """Return a judge's scores of each row's positive and hard negatives, float32 (rows, 1 + most of them).

    NaN where there is none. Raises InputError if no pair has a score.
    """
    rows = [
        [triplet if isinstance(triplet, ScoredTriplet) else None for triplet in row]
        for row in in_rows(triplets, per_row)
    ]
    scores = np.full((len(rows), 1 + max(map(len, rows), default=1)), np.nan, dtype=np.float32)
    for place, row in enumerate(rows):
        known = [triplet for triplet in row if triplet is not None]
        scores[place, 0] = known[0].positive_score if known else np.nan
        scores[place, 1 : 1 + len(row)] = [np.nan if t is None else t.hard_negative_score for t in row]
    if np.isnan(scores).all():
        raise InputError(
            "CoSENT needs a judge's scores, and these triplets have none: judge them, or set cosent_weight to 0."
        )
    return scores


def columns_of(positives: str) -> int:
    """Return how many kinds of text a row has: premise, positive and hard negative, or the premise twice."""
    return 3 if positives == "written" else 2
