"""The contrast under a lens: one reply, token by token, with what both prompts make of the likeliest candidates.

MultiCSR (arXiv 2310.10962), stage 1:  z_t = l_t - omega * l^_t . A record keeps l_t and l^_t of the candidates of
each step, so that the choice can be made again for another omega without the LLM: exactly up to the first step where
another token wins; behind it the LLM would have continued another text, which only a new record shows.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.generation.contrast import TokenChoice

if TYPE_CHECKING:
    from pipeline.generation.token_probabilities import Reader


@dataclass(frozen=True, slots=True)
class Candidate:
    """A token that might have come next: log p under the own prompt (l) and under the opposite one (l^), in nats."""

    token: int
    text: str
    own: float
    opposite: float

    def z(self, omega: float) -> float:
        """Return l - omega * l^."""
        return self.own - omega * self.opposite


@dataclass(frozen=True, slots=True)
class LensStep:
    """One step of the record: its candidates, the likeliest under the own prompt first, and which was taken."""

    candidates: tuple[Candidate, ...]
    chosen: int
    """Place of the taken one among the candidates."""
    ends: bool
    """Whether the taken token ends the reply."""

    def plausible(self, plausibility: float) -> tuple[Candidate, ...]:
        """Return the candidates that the plausibility cut leaves: p >= plausibility * max p under the own prompt."""
        if plausibility <= 0:
            return self.candidates
        floor = self.candidates[0].own + math.log(plausibility)
        return tuple(candidate for candidate in self.candidates if candidate.own >= floor)

    def choice(self, omega: float, plausibility: float) -> Candidate:
        """Return what wins at this omega."""
        return max(self.plausible(plausibility), key=lambda candidate: candidate.z(omega))

    def pushed_away(self, omega: float, plausibility: float) -> tuple[Candidate, ...]:
        """Return the candidates that were likelier than the winner under the own prompt and lost by the contrast."""
        winner = self.choice(omega, plausibility)
        return tuple(one for one in self.plausible(plausibility) if one.own > winner.own)


@dataclass(frozen=True, slots=True)
class LensRecord:
    """A reply with all its steps; the last one ends it unless it was cut at the token limit."""

    omega: float
    plausibility: float
    steps: tuple[LensStep, ...]

    def leaves_at(self, omega: float) -> int | None:
        """Return the first step where this omega takes another token than the record; None where it never does."""
        for place, step in enumerate(self.steps):
            if step.choice(omega, self.plausibility).token != step.candidates[step.chosen].token:
                return place
        return None

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> "LensRecord":
        """Return the record behind stored values."""
        steps = tuple(
            LensStep(tuple(Candidate(**one) for one in step["candidates"]), step["chosen"], step["ends"])
            for step in record["steps"]
        )
        return cls(record["omega"], record["plausibility"], steps)


KEPT_OWN: Final = 20
"""Candidates kept of each step for being likely under the own prompt."""
KEPT_OPPOSITE: Final = 5
"""Candidates kept for being likely under the opposite prompt."""
OMEGAS: Final = tuple(round(0.01 * step, 2) for step in range(100))
"""Every omega that a replay may ask for; whatever wins at one of them is kept too."""

LogProbs = NDArray[np.float32]


def record_reply(
    readers: "tuple[Reader, Reader]",
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
