"""Judges that read similarity off an LLM's likelihoods: no number has to be written, so a small LLM can do it.

With e(b|a) the nats per token that b costs as a reply to the paraphrase prompt of a, c(b|a) the same under the
contradiction prompt, and u(b) the same under the paraphrase prompt of nothing:

    likelihood = (log(u(b) / e(b|a)) + log(u(a) / e(a|b))) / 2     how many times cheaper each text makes the other
    entailment = (c(b|a) - e(b|a) + c(a|b) - e(a|b)) / 2           rather as a paraphrase than as a contradiction

The first is pointwise mutual information u - e in both orders, relative to u: a long or rare text has more nats to
save, and the difference alone ranks pairs of different texts worse (76 against 81 on 160 pairs of STS-B dev, 49
against 63 on 100 pairs of SICK, Spearman x100).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.generation.engines.engine import PREFIXES, SEQUENCES, CacheFullError, Engine, Piece
from pipeline.generation.forms import CompletionForm, Form
from pipeline.generation.prompt_sets import prompt_set
from pipeline.generation.prompts import LINE_END, FewShot, PromptSet, SidePrompt, one_line
from pipeline.records import InputError

if TYPE_CHECKING:
    from pipeline.generation.llms.torch_llm import TorchLLM


T = TypeVar("T")
Pairs = Sequence[tuple[str, str]]
LONGEST_TEXT_TOKENS = 192
"""Tokens of a text that count; the rest of a longer one is not read."""
LEAST_NATS = 0.01
"""Costs per token below this count as this, so that a text repeated word by word has a finite score."""
JUDGE_PROMPTS = replace(prompt_set("default@1"), prompt_set_id="judge")
"""What the likelihood judges ask."""


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

    def scores(self, pairs: Pairs) -> NDArray[np.float64]:
        """Return the raw score of each pair, symmetric in its two texts: float64 (n,), finite, higher is closer."""
        starts = range(0, len(pairs), self._chunk_pairs)
        done = [self._chunk_scores(pairs[start : start + self._chunk_pairs]) for start in starts]
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


def halved(batch: Sequence[T], read: Callable[[Sequence[T]], list[float]]) -> list[float]:
    """Return a value for each job, read together; where memory does not suffice in halves, nan for one alone."""
    try:
        return read(batch)
    except CacheFullError:
        if len(batch) == 1:
            return [float("nan")]
        middle = len(batch) // 2
        return [*halved(batch[:middle], read), *halved(batch[middle:], read)]


Scored = tuple[str, str]  # (context, reply); "" as context measures the reply alone


class Costs(Protocol):
    """Measures how unlikely replies are under a prompt."""

    def of(self, prompt: SidePrompt, wanted: Iterable[Scored]) -> dict[Scored, float]:
        """Return the nats per token of each (context, reply) after prompt and context."""
        ...


@dataclass(frozen=True, slots=True)
class _Job:
    pair: Scored
    context: list[int]
    reply: list[int]

    def tokens(self) -> int:
        """Return the number of tokens in the call."""
        return len(self.context) + len(self.reply)


class EngineCosts:
    """Costs in an engine of this process; many texts are read together after the shared prompt."""

    def __init__(self, llm: Engine, form: Form | None = None) -> None:
        """form: how the LLM is asked, by default with one text. InputError for a window that is too short."""
        check_window(llm.name, llm.window)
        self._llm = llm
        self._form = form or CompletionForm(llm)

    def of(self, prompt: SidePrompt, wanted: Iterable[Scored]) -> dict[Scored, float]:
        """Return the nats per token of each (context, reply); see Costs."""
        asked = prompt.few_shot
        shared = self._form.shared(asked, given=True)
        source = self._llm.prefix(shared)
        costs: dict[Scored, float] = {}
        jobs = [self._job(asked, pair) for pair in wanted]

        def read(batch: Sequence[_Job]) -> list[float]:
            # The last token of a reply is only predicted.
            pieces = [
                Piece(sequence, len(shared), job.context + job.reply[:-1], outputs=len(job.reply))
                for sequence, job in enumerate(batch, start=PREFIXES)
            ]
            return _nats_per_token(decoded_behind(self._llm, source, pieces), [job.reply for job in batch])

        for batch in packed(jobs, size=_Job.tokens, tokens_a_call=self._llm.tokens_a_call):
            costs.update(zip((job.pair for job in batch), halved(batch, read), strict=True))
        return costs

    def _job(self, asked: FewShot, pair: Scored) -> _Job:
        context, reply = (shortened(self._llm, text) for text in pair)
        words = self._llm.tokenize(f"{self._form.lead}{reply}" if reply else LINE_END)
        return _Job(pair, self._form.own(asked, context, given=True), words)


def check_window(name: str, window: int | None) -> None:
    """Raise an InputError for a window that has no room for two texts and the examples before them, in tokens."""
    least = 2 * LONGEST_TEXT_TOKENS + 128
    if window is not None and window < least:
        raise InputError(f"{name} reads {window} tokens and judging needs {least}: take another.")


def decoded_behind(llm: Engine, source: int, pieces: Sequence[Piece]) -> NDArray[np.float32]:
    """Return the logits of pieces that follow a shared sequence, (outputs, vocabulary); their rows are free after."""
    try:
        for piece in pieces:
            llm.share(source, piece.sequence)
        return llm.decode(pieces)
    finally:
        for piece in pieces:
            llm.forget(piece.sequence)


class FolderCosts:
    """Costs under a folder that transformers computes, decoder or encoder-decoder, on a CPU or a GPU.

    Raises InputError if the longest question would not fit the model's window.
    """

    def __init__(self, llm: "TorchLLM") -> None:
        check_window(llm.name, llm.context_length)
        self._llm = llm

    def of(self, prompt: SidePrompt, wanted: Iterable[Scored]) -> dict[Scored, float]:
        """Return the nats per token of each (context, reply); see Costs."""
        from pipeline.generation.llms.torch_scoring import reply_log_probabilities

        pairs = list(wanted)
        prompts, replies = [], []
        for pair in pairs:
            context, reply = (shortened(self._llm, text) for text in pair)
            prompts.append(self._llm.prompt(prompt.few_shot, context, given=True))
            replies.append(self._llm.tokenize(f"{self._llm.form.lead}{reply}" if reply else LINE_END))
        if not pairs:
            return {}
        found = reply_log_probabilities(self._llm, prompts, replies)
        lengths = np.array([max(1, len(reply)) for reply in replies])
        return dict(zip(pairs, (-found / lengths).tolist(), strict=True))


def _nats_per_token(logits_nv: NDArray[np.float32], replies: Sequence[Sequence[int]]) -> list[float]:
    """Return the mean of -log softmax over each reply's tokens.

    logits_nv: float32 (tokens of all replies in order, vocabulary).
    """
    token_n = np.concatenate([np.asarray(reply) for reply in replies])
    top_n = logits_nv.max(axis=1)
    chosen_n = logits_nv[np.arange(len(token_n)), token_n] - top_n
    cost_n = np.log(np.exp(logits_nv - top_n[:, None]).sum(axis=1)) - chosen_n
    ends = np.cumsum([len(reply) for reply in replies])
    return [float(part.mean(dtype=np.float64)) for part in np.split(cost_n, ends[:-1])]


@dataclass(frozen=True, slots=True)
class DigitPrompt:
    """Instruction and scored examples of the digit judge; version as in a prompt set."""

    version: int
    instruction: str
    labels: tuple[str, str, str]
    """Labels of the first sentence, the second one and the number."""
    examples: tuple[tuple[str, str, int], ...]

    @property
    def few_shot(self) -> FewShot:
        """The parts of the prompt, which `question` completes."""
        examples = tuple((self.question(first, second), str(score)) for first, second, score in self.examples)
        return FewShot(self.instruction, examples, after=f"\n{self.labels[2]}:")

    def question(self, first: str, second: str) -> str:
        """Return the words of one pair; line breaks in them become spaces."""
        one, two, _ = self.labels
        return f"{one}: {one_line(first)}\n{two}: {one_line(second)}"

    def prefix(self) -> str:
        """Return the part shared by all pairs: instruction and examples, ending in a line break."""
        return self.few_shot.prefix()

    def tail(self, first: str, second: str) -> str:
        """Return the part of one pair, which a blank and the digit follow."""
        return self.few_shot.tail(self.question(first, second))


DIGIT_PROMPT = DigitPrompt(
    version=1,
    instruction="How similar in meaning are the two sentences? Answer from 0, unrelated, to 5, the same meaning.",
    labels=("First", "Second", "Similarity"),
    examples=(
        ("Two kids are playing chess in the park.", "In the park, a pair of children are having a game of chess.", 5),
        ("How far away is the moon?", "She bought a loaf of fresh bread.", 0),
        ("The film was far too long.", "The film was funny and short.", 2),
        ("A man drives a red car.", "A man is driving a car.", 4),
    ),
)
"""Prompt of the digit judge."""


class _LikelihoodBased(PairJudge):
    """Base of both judges: the cost of each reply under a prompt, computed once."""

    def __init__(self, costs: Costs, *, name: str, prompts: PromptSet = JUDGE_PROMPTS, chunk_pairs: int = 32) -> None:
        super().__init__(name, chunk_pairs=chunk_pairs)
        self._costs = costs
        self._prompts = prompts
        self._alone: dict[str, float] = {}

    def _both_orders(self, prompt: SidePrompt, pairs: Pairs) -> dict[Scored, float]:
        return self._costs.of(prompt, sorted({ordered for a, b in pairs for ordered in ((a, b), (b, a))}))


class LikelihoodJudge(_LikelihoodBased):
    """Mutual information in both orders: measures relatedness; contradictions score about as high as entailments."""

    kind = "likelihood"

    def _chunk_scores(self, pairs: Pairs) -> NDArray[np.float64]:
        prompt = self._prompts.positive
        given = self._both_orders(prompt, pairs)
        new = {text for pair in pairs for text in pair} - self._alone.keys()
        alone = self._costs.of(prompt, [("", text) for text in sorted(new)])
        self._alone.update({text: cost for (_, text), cost in alone.items()})
        return np.array([(self._gain(given, a, b) + self._gain(given, b, a)) / 2 for a, b in pairs])

    def _gain(self, given: dict[Scored, float], a: str, b: str) -> float:
        return float(np.log(max(self._alone[b], LEAST_NATS) / max(given[a, b], LEAST_NATS)))


class EntailmentJudge(_LikelihoodBased):
    """Paraphrase prompt against contradiction prompt: on average, entailments score above contradictions."""

    kind = "entailment"

    def _chunk_scores(self, pairs: Pairs) -> NDArray[np.float64]:
        same = self._both_orders(self._prompts.positive, pairs)
        other = self._both_orders(self._prompts.hard_negative, pairs)
        return np.array([(other[a, b] - same[a, b] + other[b, a] - same[b, a]) / 2 for a, b in pairs])
