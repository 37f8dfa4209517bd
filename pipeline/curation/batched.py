"""What the judges on a batched LLM share: pairs in chunks, progress, stopping, and how much goes into one call."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import ClassVar, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.generation.llama import PREFIXES, SEQUENCES

T = TypeVar("T")
Pairs = Sequence[tuple[str, str]]
LONGEST_TEXT_TOKENS = 192
"""Tokens of a text that count; the rest of a longer one is not read."""


class Tokenizing(Protocol):
    """What every LLM that runs here does with texts."""

    def tokenize(self, text: str) -> list[int]:
        """Return the tokens of a text."""
        ...

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens."""
        ...


class PairJudge(ABC):
    """Scores pairs chunk by chunk; a subclass says what one chunk's raw values are."""

    kind: ClassVar[str]

    def __init__(self, name: str, *, chunk_pairs: int = 32) -> None:
        self.judge_id = f"{self.kind}:{name}"
        self._chunk_pairs = chunk_pairs

    def scores(
        self,
        pairs: Pairs,
        *,
        on_progress: Callable[[int], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> NDArray[np.float64]:
        """Return the raw score of each pair, symmetric in its two texts: float64 (n,), finite, higher is closer.

        on_progress is told how many pairs are done. When should_stop answers True between two chunks, the scores of
        the pairs done so far are returned: (m,) with m < n.
        """
        done: list[NDArray[np.float64]] = []
        finished = 0
        for chunk in _chunks(pairs, self._chunk_pairs):
            if should_stop and should_stop():
                break
            done.append(self._chunk_scores(chunk))
            finished += len(chunk)
            if on_progress:
                on_progress(finished)
        return np.concatenate(done) if done else np.empty(0)

    @abstractmethod
    def _chunk_scores(self, pairs: Pairs) -> NDArray[np.float64]: ...


def shortened(llm: Tokenizing, text: str) -> str:
    """Return a text on one line, cut to the tokens that count."""
    line = " ".join(text[: LONGEST_TEXT_TOKENS * 32].split())
    tokens = llm.tokenize(line)
    return line if len(tokens) <= LONGEST_TEXT_TOKENS else llm.detokenize(tokens[:LONGEST_TEXT_TOKENS])


def packed(jobs: Iterable[T], *, size: Callable[[T], int], tokens_a_call: int) -> Iterator[list[T]]:
    """Group jobs so that each group stays below the tokens of one call, or is a single long job."""
    batch: list[T] = []
    tokens = 0
    for job in jobs:
        needed = size(job)
        if batch and (tokens + needed > tokens_a_call or len(batch) == SEQUENCES - PREFIXES):
            yield batch
            batch, tokens = [], 0
        batch.append(job)
        tokens += needed
    if batch:
        yield batch


def _chunks(pairs: Pairs, size: int) -> Iterator[Pairs]:
    for start in range(0, len(pairs), size):
        yield pairs[start : start + size]
