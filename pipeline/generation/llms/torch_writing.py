"""Writing a batch of replies with a model of transformers: a step per token, each chosen from two rows of logits.

The rows of a step are the own prompts of a batch and, while omega is above 0, the opposite prompts of the same
replies; both are continued by the same token, chosen from z = l - omega * l^ (MultiCSR, arXiv 2310.10962, stage 1).
Finished replies leave the batch once they are half of it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.config import GenerationConfig
from pipeline.generation.contrast import TokenChoice
from pipeline.records import Side

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Prompt:
    """Tokens of a prompt: the part that all premises of a side share, and the rest."""

    prefix: tuple[int, ...]
    tail: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prefix) + len(self.tail)


@dataclass(slots=True)
class Job:
    """A reply to write: its place, its two prompts as tokens and what was chosen so far."""

    key: int
    side: Side
    own: Prompt
    opposite: Prompt
    seed: int
    draws: np.random.Generator = field(init=False)
    tokens: list[int] = field(default_factory=list)
    own_log_p: float | None = None
    opposite_log_p: float | None = None
    is_ended: bool = False

    def __post_init__(self) -> None:
        # One stream of draws for both prompts of a reply, the same whatever its place in a batch.
        self.draws = np.random.default_rng([self.seed, int(self.side is Side.POSITIVE)])

    def anew(self) -> "Job":
        """Return the same job with nothing written."""
        return Job(self.key, self.side, self.own, self.opposite, self.seed)

    def append(
        self, token: int, own: "torch.Tensor", opposite: "torch.Tensor | None", config: GenerationConfig
    ) -> None:
        """Take over a token, and its log-probabilities where candidates are to be compared."""
        self.tokens.append(token)
        if config.candidates > 1:
            self.own_log_p = (self.own_log_p or 0.0) + float(own.float().log_softmax(-1)[token])
            if opposite is not None:
                self.opposite_log_p = (self.opposite_log_p or 0.0) + float(opposite.float().log_softmax(-1)[token])


class Steps(ABC):
    """The memory of one batch: prompts read once, then one token per row and step."""

    @abstractmethod
    def first(self) -> "torch.Tensor":
        """Return the logits after the prompts, (rows, vocabulary)."""

    @abstractmethod
    def next(self, tokens: NDArray[np.int64]) -> "torch.Tensor":
        """Append a token to every row and return the logits after it, (rows, vocabulary)."""

    @abstractmethod
    def keep(self, rows: NDArray[np.int64]) -> None:
        """Go on with these rows only."""


def write_batch(
    batch: Sequence[Job],
    begin: Callable[[Sequence[Prompt]], Steps],
    config: GenerationConfig,
    *,
    is_end: Callable[[int], bool],
    is_full: Callable[[Sequence[int]], bool],
    should_stop: Callable[[], bool],
) -> list[tuple[Job, bool]]:
    """Return the jobs that ended, in that order, with whether each was cut at the limit; a stop leaves some out."""
    import torch

    how = TokenChoice.of(config)
    halves = 2 if config.omega > 0 else 1
    ended: list[tuple[Job, bool]] = []
    rows = list(batch)  # a job per row of a half; jobs that have ended stay until the batch is cut
    with torch.inference_mode():
        steps = begin([job.own for job in rows] + [job.opposite for job in rows if halves == 2])
        logits = steps.first()
        while not should_stop():
            own, opposite = logits[: len(rows)], logits[len(rows) :] if halves == 2 else None
            chosen = _choose(own, opposite, how, rows)
            for row in (row for row, job in enumerate(rows) if not job.is_ended):
                job, token = rows[row], int(chosen[row])
                ends = is_end(token)
                if not ends:
                    job.append(token, own[row], opposite[row] if opposite is not None else None, config)
                if ends or is_full(job.tokens):
                    job.is_ended = True
                    ended.append((job, not ends))
            still = np.flatnonzero([not job.is_ended for job in rows])
            if not len(still):
                break
            if 2 * len(still) <= len(rows):
                steps.keep(np.concatenate([still + half * len(rows) for half in range(halves)]))
                rows, chosen = [rows[row] for row in still], chosen[still]
            logits = steps.next(np.tile(chosen, halves))
    return ended


def _choose(
    own: "torch.Tensor", opposite: "torch.Tensor | None", how: TokenChoice, rows: Sequence[Job]
) -> NDArray[np.int64]:
    """Choose a token per pair of rows, on the device; see token_choice.choose."""
    from pipeline.generation.token_choice import choose

    draws = np.array([job.draws.random() for job in rows]) if how.temperature > 0 else None
    return choose(own.float(), None if opposite is None else opposite.float(), how, draws).cpu().numpy()
