"""The contrast under a lens: one reply, token by token, with what both prompts thought of the likeliest candidates.

MultiCSR (arXiv 2310.10962), stage 1:  z_t = l_t - omega * l^_t . A record keeps l_t and l^_t of the candidates of
each step, so that the choice can be made again for another omega without the LLM: exactly up to the first step where
another token wins; behind it the LLM would have continued another text, which only a new record shows.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any


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
