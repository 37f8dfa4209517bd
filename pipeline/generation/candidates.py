"""Several replies to one prompt, and the rule that chooses among them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.config import ChoiceRule
from pipeline.records import Outcome, SideResult


@dataclass(frozen=True, slots=True)
class Candidate:
    """One reply with its outcome and, where it is known, log p under both prompts (nats, summed over its tokens)."""

    result: SideResult
    own_log_p: float | None = None
    opposite_log_p: float | None = None

    def contrast(self, omega: float) -> float | None:
        """Return log p(own) - omega log p(opposite), the sum of z over the reply; None where it is not known."""
        if self.own_log_p is None or (omega > 0 and self.opposite_log_p is None):
            return None
        return self.own_log_p - omega * (self.opposite_log_p or 0.0)


def chosen(candidates: Sequence[Candidate], rule: ChoiceRule, *, omega: float, premise: str) -> Candidate:
    """Return the best of the candidates whose outcome is ok, else the first one; earlier ones win ties.

    candidates: in the order of their draws, at least one. A candidate whose log-probabilities are not known comes
    after all others under the rules that need them.
    """
    usable = [candidate for candidate in candidates if candidate.result.outcome is Outcome.OK]
    if not usable:
        return candidates[0]
    return max(usable, key=_RULES[rule](omega, premise))


def copied_share(text: str, premise: str) -> float:
    """Return the share of a text's words that the premise holds too, in 0..1."""
    known = set(premise.casefold().split())
    words = text.casefold().split()
    return sum(word in known for word in words) / len(words) if words else 1.0


def _first(_omega: float, _premise: str) -> Callable[[Candidate], float]:
    return lambda _candidate: 0.0


def _contrast(omega: float, _premise: str) -> Callable[[Candidate], float]:
    return lambda candidate: _known(candidate.contrast(omega))


def _contrast_per_token(omega: float, _premise: str) -> Callable[[Candidate], float]:
    return lambda candidate: _known(candidate.contrast(omega)) / max(1, candidate.result.tokens)


def _least_overlap(_omega: float, premise: str) -> Callable[[Candidate], float]:
    return lambda candidate: -copied_share(candidate.result.text, premise)


def _known(value: float | None) -> float:
    return float("-inf") if value is None or value != value else value


_RULES: dict[ChoiceRule, Callable[[float, str], Callable[[Candidate], float]]] = {
    "first": _first,
    "contrast": _contrast,
    "contrast_per_token": _contrast_per_token,
    "least_overlap": _least_overlap,
}
