"""Stage 1: from premises to triplets, every premise with exactly one outcome per side."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from pipeline.config import ChoiceRule, GenerationConfig
from pipeline.generation.llms.protocol import LLM, Ask, Reply, ShouldStop
from pipeline.generation.outcomes import classify, unlike
from pipeline.generation.prompt_sets import prompt_set
from pipeline.generation.prompts import PromptSet, one_line
from pipeline.records import Contrast, GeneratedTriplet, Outcome, Premise, Side, SideResult, text_id

_MEASURING_RULES = ("contrast", "contrast_per_token")


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

    def worth(candidate: Candidate) -> float:
        if rule == "least_overlap":
            return -copied_share(candidate.result.text, premise)
        if rule == "first":
            return 0.0
        value = _known(candidate.contrast(omega))
        return value if rule == "contrast" else value / max(1, candidate.result.tokens)

    return max(usable, key=worth)


def copied_share(text: str, premise: str) -> float:
    """Return the share of a text's words that the premise holds too, in 0..1."""
    known = set(premise.casefold().split())
    words = text.casefold().split()
    return sum(word in known for word in words) / len(words) if words else 1.0


def _known(value: float | None) -> float:
    return float("-inf") if value is None or value != value else value


def never() -> bool:
    """Answer that nobody asked to stop."""
    return False


def generate(
    premises: Iterable[Premise],
    config: GenerationConfig,
    llm: LLM,
    *,
    prompts: PromptSet | None = None,
    should_stop: ShouldStop = never,
) -> Iterator[GeneratedTriplet]:
    """Yield a positive and a hard negative for each premise, in the order in which they are finished.

    Premises are drawn from the iterable as room appears in the batch. Each is yielded exactly once, whatever it
    holds; only a stop (asked for between two tokens) leaves premises out. prompts: what to ask, by default the set
    that the config names; InputError for an unknown one.
    """
    return _Run(config, llm, prompts or prompt_set(config.prompt_set)).triplets(iter(premises), should_stop)


@dataclass(slots=True)
class _Open:
    """A premise with replies still missing."""

    premise: Premise
    replies: dict[tuple[Side, int], Reply] = field(default_factory=dict)


class _Run:
    """One call of generate: the premises in flight and what is already known of each."""

    def __init__(self, config: GenerationConfig, llm: LLM, prompts: PromptSet) -> None:
        self._config = config
        self._llm = llm
        self._prompts = prompts
        self._open: dict[int, _Open] = {}
        self._unfit: deque[GeneratedTriplet] = deque()

    def triplets(self, premises: Iterator[Premise], should_stop: ShouldStop) -> Iterator[GeneratedTriplet]:
        each = self._config.candidates
        for reply in self._llm.replies(self._asks(premises), self._prompts, self._config, should_stop):
            yield from self._flush()
            place, number = divmod(reply.key, each)
            waiting = self._open[place]
            waiting.replies[reply.side, number] = reply
            if len(waiting.replies) == len(Side) * each:
                del self._open[place]
                yield self._triplet(waiting)
        yield from self._flush()

    def _asks(self, premises: Iterator[Premise]) -> Iterator[Ask]:
        each = self._config.candidates
        for place, premise in enumerate(premises):
            if not premise.text.strip():
                failed = SideResult(text="", raw="", outcome=Outcome.FAILED)
                self._unfit.append(GeneratedTriplet(premise, failed, failed, self._contrast([])))
                continue
            self._open[place] = _Open(premise)
            for number in range(each):
                # The seed depends on the premise, not on its place: resumed and reordered runs draw the same.
                yield Ask(place * each + number, premise.text, _seed(self._config.seed, premise, number))

    def _triplet(self, done: _Open) -> GeneratedTriplet:
        sides: dict[Side, SideResult] = {}
        used = []
        for side in Side:
            sides[side], contrast = self._choose(done, side, sides.get(Side.POSITIVE))
            used.append(contrast)
        # A triplet is contrasted when both sides are: what one of them lacks, the pair lacks.
        contrast = used[0] if used[0] is used[1] else Contrast.NONE
        return GeneratedTriplet(done.premise, sides[Side.POSITIVE], sides[Side.HARD_NEGATIVE], contrast)

    def _choose(self, done: _Open, side: Side, positive: SideResult | None) -> tuple[SideResult, Contrast]:
        """Return the chosen reply of a side and the contrast that took part in it.

        positive: the chosen one, which no hard negative may equal.
        """
        premise = done.premise.text
        candidates = [
            self._candidate(done.replies[side, number], premise, side) for number in range(self._config.candidates)
        ]
        if positive is not None and positive.outcome is Outcome.OK:
            candidates = [replace(one, result=unlike(one.result, positive)) for one in candidates]
        candidates = self._measured(candidates, premise, side)
        best = chosen(candidates, self._config.choice, omega=self._config.omega, premise=premise)
        return best.result, self._contrast(candidates)

    def _contrast(self, candidates: list[Candidate]) -> Contrast:
        if self._config.omega == 0:
            return Contrast.NONE
        if self._llm.contrast is not Contrast.SEQUENCE:
            return self._llm.contrast
        measured = [candidate for candidate in candidates if candidate.contrast(self._config.omega) is not None]
        is_reranked = self._config.choice in _MEASURING_RULES and len(measured) > 1
        return Contrast.SEQUENCE if is_reranked else Contrast.NONE

    def _candidate(self, reply: Reply, premise: str, side: Side) -> Candidate:
        if reply.problem is not None:
            result = SideResult("", reply.raw, reply.problem, reply.tokens, reply.reason)
        else:
            result = classify(reply.raw, premise, side, self._prompts, cut=reply.cut, tokens=reply.tokens)
        return Candidate(result, reply.own_log_p, reply.opposite_log_p)

    def _measured(self, candidates: list[Candidate], premise: str, side: Side) -> list[Candidate]:
        """Add the log-probabilities that the rule compares, where the LLM did not give them while writing."""
        needs = self._config.choice in _MEASURING_RULES and self._llm.contrast is Contrast.TOKEN
        open_ones = [one for one in candidates if one.own_log_p is None and one.result.outcome is Outcome.OK]
        if not needs or len(candidates) == 1 or not open_ones:
            return candidates
        prompts = self._prompts.own(side), self._prompts.opposite(side)
        own, opposite = (
            self._llm.log_probabilities(
                prompt.few_shot, [one_line(premise)] * len(open_ones), [one.result.raw for one in open_ones]
            )
            for prompt in prompts
        )
        known = {
            id(one): replace(one, own_log_p=float(a), opposite_log_p=float(b))
            for one, a, b in zip(open_ones, own, opposite, strict=True)
        }
        return [known.get(id(one), one) for one in candidates]

    def _flush(self) -> Iterator[GeneratedTriplet]:
        while self._unfit:
            yield self._unfit.popleft()


def _seed(seed: int, premise: Premise, number: int) -> int:
    printable = premise.text.encode("utf-8", errors="replace").decode()
    parts = [str(seed), printable] if number == 0 else [str(seed), str(number), printable]
    return int(text_id("\n".join(parts)), 16)
