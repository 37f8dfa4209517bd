"""Judges that read similarity off an LLM's likelihoods: no number has to be written, so a small LLM can do it.

With e(b|a) the mean log-probability of b's tokens as a reply to the paraphrase prompt of a, c(b|a) the same under the
contradiction prompt, and u(b) the same for b alone (method: "PMI in both orders"):

    likelihood  = ((e(b|a) - u(b)) + (e(a|b) - u(a))) / 2        how much each text makes the other likelier
    entailment  = ((e(b|a) - c(b|a)) + (e(a|b) - c(a|b))) / 2    rather as a paraphrase than as a contradiction
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.generation.llama import PREFIXES, SEQUENCES, LlamaLLM, Piece
from pipeline.generation.prompts import PromptSet, prompt_set

Pairs = Sequence[tuple[str, str]]
Scored = tuple[str, str]  # (context, reply); the context "" stands for no premise at all
LONGEST_TEXT_TOKENS = 192
"""Tokens of a text that count; the rest of a longer one is not read."""
_TOKENS_A_CALL = 248
"""Tokens decoded together: four passes of the context, and logits of at most 50 MB."""


class _LikelihoodBased(ABC):
    """Shared work: mean log-probabilities of replies under a prompt, batched, each asked once."""

    kind: ClassVar[str]

    def __init__(self, llm: LlamaLLM, *, prompts: PromptSet | None = None) -> None:
        self.judge_id = f"{self.kind}:{llm.name}"
        self._llm = llm
        self._prompts = prompts or prompt_set("default")
        self._alone: dict[str, float] = {}

    def scores(
        self,
        pairs: Pairs,
        *,
        on_progress: Callable[[int], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> NDArray[np.float64]:
        """Return the raw score of each pair, symmetric in its two texts: float64 (n,), finite, higher is closer.

        on_progress is told how many pairs are done. When should_stop answers True between two calls of the model,
        the scores of the pairs done so far are returned: (m,) with m < n.
        """
        done: list[NDArray[np.float64]] = []
        finished = 0
        for chunk in _chunks(pairs, 64):
            if should_stop and should_stop():
                break
            done.append(self._chunk_scores(chunk))
            finished += len(chunk)
            if on_progress:
                on_progress(finished)
        return np.concatenate(done) if done else np.empty(0)

    @abstractmethod
    def _chunk_scores(self, pairs: Pairs) -> NDArray[np.float64]: ...

    def _means(self, prefix: str, wanted: Iterable[Scored], tail: Callable[[str], str]) -> dict[Scored, float]:
        """Return the mean log-probability of each (context, reply) after prefix + tail(context)."""
        jobs = {pair: self._job(tail(pair[0]), pair[1]) for pair in wanted}
        tokens = self._llm.tokenize(prefix)
        shared = self._llm.prefix(tokens) if tokens else None
        means: dict[Scored, float] = {}
        for batch in _packed(jobs.items()):
            pieces = []
            for sequence, (_, (context, reply)) in enumerate(batch, start=PREFIXES):
                if shared is not None:
                    self._llm.share(shared, sequence)
                pieces.append(Piece(sequence, len(tokens), context + reply[:-1], outputs=len(reply)))
            values = _mean_log_probabilities(self._llm.decode(pieces), [reply for _, (_, reply) in batch])
            means.update(zip((pair for pair, _ in batch), values, strict=True))
            for piece in pieces:
                self._llm.forget(piece.sequence)
        return means

    def _job(self, context: str, reply: str) -> tuple[list[int], list[int]]:
        """Return the tokens of a context and of its reply; an empty reply is scored as ending at once."""
        cut = self._llm.tokenize(context)
        words = self._llm.tokenize(f" {' '.join(reply.split())}")[:LONGEST_TEXT_TOKENS] if reply.strip() else []
        return cut, words or self._llm.tokenize(self._prompts.stop)

    def _replies(self, pairs: Pairs, side_prompt: str) -> dict[Scored, float]:
        prompt = getattr(self._prompts, side_prompt)
        both = {pair for a, b in pairs for pair in ((a, b), (b, a))}
        return self._means(prompt.prefix(), sorted(both), lambda text: prompt.tail(self._shortened(text)))

    def _shortened(self, text: str) -> str:
        tokens = self._llm.tokenize(text[: LONGEST_TEXT_TOKENS * 32])
        return text if len(tokens) <= LONGEST_TEXT_TOKENS else self._llm.detokenize(tokens[:LONGEST_TEXT_TOKENS])


class LikelihoodJudge(_LikelihoodBased):
    """PMI in both orders: measures relatedness; a contradiction scores about as high as an entailment."""

    kind = "likelihood"

    def _chunk_scores(self, pairs: Pairs) -> NDArray[np.float64]:
        given = self._replies(pairs, "positive")
        new = sorted({text for pair in pairs for text in pair} - self._alone.keys())
        label = f"{self._prompts.positive.premise_label}:"
        alone = self._means("", [("", text) for text in new], lambda _: label)
        self._alone.update({text: value for (_, text), value in alone.items()})
        return np.array(
            [(given[a, b] - self._alone[b] + given[b, a] - self._alone[a]) / 2 for a, b in pairs], dtype=np.float64
        )


class EntailmentJudge(_LikelihoodBased):
    """Paraphrase against contradiction prompt: the only raw score that puts contradictions below neutral pairs."""

    kind = "entailment"

    def _chunk_scores(self, pairs: Pairs) -> NDArray[np.float64]:
        same, other = self._replies(pairs, "positive"), self._replies(pairs, "hard_negative")
        return np.array(
            [(same[a, b] - other[a, b] + same[b, a] - other[b, a]) / 2 for a, b in pairs], dtype=np.float64
        )


def _mean_log_probabilities(logits_nv: NDArray[np.float32], replies: Sequence[Sequence[int]]) -> list[float]:
    """Return the mean log-softmax of each reply's tokens; the rows of all replies follow each other in logits_nv."""
    token_n = np.concatenate([np.asarray(reply) for reply in replies])
    top_n = logits_nv.max(axis=1)
    chosen_n = logits_nv[np.arange(len(token_n)), token_n] - top_n
    log_n = chosen_n - np.log(np.exp(logits_nv - top_n[:, None]).sum(axis=1))
    ends = np.cumsum([len(reply) for reply in replies])
    return [float(part.mean(dtype=np.float64)) for part in np.split(log_n, ends[:-1])]


def _packed(
    jobs: Iterable[tuple[Scored, tuple[list[int], list[int]]]],
) -> Iterator[list[tuple[Scored, tuple[list[int], list[int]]]]]:
    """Group jobs so that each group stays below the tokens of one call, or is a single long job."""
    batch: list[tuple[Scored, tuple[list[int], list[int]]]] = []
    tokens = 0
    for job in jobs:
        size = len(job[1][0]) + len(job[1][1])
        if batch and (tokens + size > _TOKENS_A_CALL or len(batch) == SEQUENCES - PREFIXES):
            yield batch
            batch, tokens = [], 0
        batch.append(job)
        tokens += size
    if batch:
        yield batch


def _chunks(pairs: Pairs, size: int) -> Iterator[Pairs]:
    for start in range(0, len(pairs), size):
        yield pairs[start : start + size]
