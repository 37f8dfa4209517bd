"""Recording a reply for the lens: both prompts read side by side, every step kept with what could have won it."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.generation.contrast import TokenChoice
from pipeline.generation.lens import Candidate, LensStep
from pipeline.generation.reading import Reader

KEPT_OWN: Final = 20
"""Candidates kept of each step for being likely under the own prompt."""
KEPT_OPPOSITE: Final = 5
"""Candidates kept for being likely under the opposite prompt."""
OMEGAS: Final = tuple(round(0.01 * step, 2) for step in range(100))
"""Every omega that a replay may ask for; whatever wins at one of them is kept too."""

LogProbs = NDArray[np.float32]


def record_reply(
    readers: tuple[Reader, Reader],
    how: TokenChoice,
    *,
    max_new_tokens: int,
    is_end: Callable[[int], bool],
    text_of: Callable[[int], str],
) -> Iterator[LensStep]:
    """Write one reply greedily and yield every step as it is made.

    readers: of the own and of the opposite prompt; both are continued by the same tokens. Of `how` omega and
    plausibility count: a lens shows the greedy choice.
    """
    following: Sequence[int] = ()
    for _ in range(max_new_tokens):
        own_v, opposite_v = (reader.read(following) for reader in readers)
        kept = _kept(own_v, opposite_v, how)
        candidates = tuple(Candidate(int(t), text_of(int(t)), float(own_v[t]), float(opposite_v[t])) for t in kept)
        step = LensStep(candidates, 0, ends=False)
        winner = step.choice(how.omega, how.plausibility)
        ends = is_end(winner.token)
        yield LensStep(candidates, candidates.index(winner), ends)
        if ends:
            return
        following = (winner.token,)


def _kept(own_v: LogProbs, opposite_v: LogProbs, how: TokenChoice) -> list[int]:
    """Tokens worth keeping, the likeliest under the own prompt first: the best of both, and every possible winner."""
    by_own = np.argsort(-own_v, kind="stable")[:KEPT_OWN]
    by_opposite = np.argsort(-opposite_v, kind="stable")[:KEPT_OPPOSITE]
    alive = np.arange(len(own_v))
    if how.plausibility > 0:
        alive = np.flatnonzero(own_v >= own_v.max() + np.float32(math.log(how.plausibility)))
    own_c, opposite_c = own_v[alive].astype(np.float64), opposite_v[alive].astype(np.float64)
    winners = {int(alive[np.argmax(own_c - omega * opposite_c)]) for omega in (*OMEGAS, how.omega)}
    found = winners.union(by_own.tolist(), by_opposite.tolist())
    return sorted(found, key=lambda token: (-float(own_v[token]), token))
