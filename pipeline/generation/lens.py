"""One reply token by token, with the log-probabilities of the likeliest candidates under both prompts.

MultiCSR (arXiv 2310.10962), stage 1:  z_t = l_t - omega * l^_t . A record keeps l_t and l^_t of each step's
candidates; the choice can then be repeated for another omega without the LLM. This is exact up to the first step
where another token wins; from there on the LLM would have continued a different text, which takes a new record.
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
    """A possible next token: its log p under the wanted prompt (l) and under the opposite one (l^), in nats."""

    token: int
    text: str
    own: float
    opposite: float

    def z(self, omega: float) -> float:
        """Return l - omega * l^."""
        return self.own - omega * self.opposite


@dataclass(frozen=True, slots=True)
class LensStep:
    """One step: its candidates, the likeliest under the wanted prompt first, and the chosen one."""

    candidates: tuple[Candidate, ...]
    chosen: int
    """Index of the chosen candidate."""
    ends: bool
    """Whether the chosen token ends the reply."""

    def plausible(self, plausibility: float) -> tuple[Candidate, ...]:
        """Return the candidates with p >= plausibility * max p under the wanted prompt."""
        if plausibility <= 0:
            return self.candidates
        floor = self.candidates[0].own + math.log(plausibility)
        return tuple(candidate for candidate in self.candidates if candidate.own >= floor)

    def choice(self, omega: float, plausibility: float) -> Candidate:
        """Return the candidate that wins at this omega."""
        return max(self.plausible(plausibility), key=lambda candidate: candidate.z(omega))

    def pushed_away(self, omega: float, plausibility: float) -> tuple[Candidate, ...]:
        """Return the candidates likelier than the winner under the wanted prompt, which lost through the contrast."""
        winner = self.choice(omega, plausibility)
        return tuple(one for one in self.plausible(plausibility) if one.own > winner.own)


@dataclass(frozen=True, slots=True)
class LensRecord:
    """A reply with all its steps; the last step ends it unless it was cut off at the token limit."""

    omega: float
    plausibility: float
    steps: tuple[LensStep, ...]

    def leaves_at(self, omega: float) -> int | None:
        """Return the first step where this omega chooses a different token than the record, or None."""
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
"""Candidates kept per step because they are likely under the wanted prompt."""
KEPT_OPPOSITE: Final = 5
"""Candidates kept per step because they are likely under the opposite prompt."""
OMEGAS: Final = tuple(round(0.01 * step, 2) for step in range(100))
"""Every omega that a replay may use; the winner at each of them is kept as well."""

LogProbs = NDArray[np.float32]


def record_reply(
    readers: "tuple[Reader, Reader]",
    how: TokenChoice,
    *,
    max_new_tokens: int,
    is_end: Callable[[int], bool],
    text_of: Callable[[int], str],
) -> Iterator[LensStep]:
    """Generate one reply greedily and yield each step.

    readers: for the wanted and the opposite prompt; both are continued with the same tokens. Only omega and
    plausibility of `how` are used: a lens shows the greedy choice.
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
    """Return the tokens to keep, likeliest under the wanted prompt first: the best of both, every possible winner.

    own_v, opposite_v: float32 (vocabulary,), log-probabilities in nats.
    """
    by_own = np.argsort(-own_v, kind="stable")[:KEPT_OWN]
    by_opposite = np.argsort(-opposite_v, kind="stable")[:KEPT_OPPOSITE]
    alive = np.arange(len(own_v))
    if how.plausibility > 0:
        alive = np.flatnonzero(own_v >= own_v.max() + np.float32(math.log(how.plausibility)))
    own_c, opposite_c = own_v[alive].astype(np.float64), opposite_v[alive].astype(np.float64)
    winners = {int(alive[np.argmax(own_c - omega * opposite_c)]) for omega in (*OMEGAS, how.omega)}
    found = winners.union(by_own.tolist(), by_opposite.tolist())
    return sorted(found, key=lambda token: (-float(own_v[token]), token))
