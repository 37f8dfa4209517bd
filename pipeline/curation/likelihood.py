"""Judges that read similarity off an LLM's likelihoods: no number has to be written, so a small LLM can do it.

With e(b|a) the nats per token that b costs as a reply to the paraphrase prompt of a, c(b|a) the same under the
contradiction prompt, and u(b) the same under the paraphrase prompt of nothing:

    likelihood = (log(u(b) / e(b|a)) + log(u(a) / e(a|b))) / 2     how many times cheaper each text makes the other
    entailment = (c(b|a) - e(b|a) + c(a|b) - e(a|b)) / 2           rather as a paraphrase than as a contradiction

The first is pointwise mutual information u - e in both orders, relative to u: a long or rare text has more nats to
save, and the difference alone ranks pairs of different texts worse (76 against 81 on 160 pairs of STS-B dev, 49
against 63 on 100 pairs of SICK, Spearman x100).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.curation.batched import PairJudge, Pairs, packed, shortened
from pipeline.generation.engine import Engine
from pipeline.generation.judge_prompts import JUDGE_PROMPTS
from pipeline.generation.llama import PREFIXES, Piece
from pipeline.generation.prompts import LINE_END, PromptSet, SidePrompt

Scored = tuple[str, str]  # (context, reply); the context "" asks for a paraphrase of nothing
LEAST_NATS = 0.01
"""Costs per token below this count as this, so that a text repeated word by word has a finite score."""


@dataclass(frozen=True, slots=True)
class _Job:
    pair: Scored
    context: list[int]
    reply: list[int]

    def tokens(self) -> int:
        """Return how many tokens the call takes."""
        return len(self.context) + len(self.reply)


class _LikelihoodBased(PairJudge):
    """Shared work: what replies cost under a prompt, batched, each asked once."""

    def __init__(self, llm: Engine, *, prompts: PromptSet = JUDGE_PROMPTS, chunk_pairs: int = 32) -> None:
        super().__init__(llm, chunk_pairs=chunk_pairs)
        self._prompts = prompts
        self._alone: dict[str, float] = {}

    def _costs(self, prompt: SidePrompt, wanted: Iterable[Scored]) -> dict[Scored, float]:
        """Return the nats per token of each (context, reply) after prompt and context."""
        shared = self._llm.tokenize(prompt.prefix())
        source = self._llm.prefix(shared)
        costs: dict[Scored, float] = {}
        jobs = [self._job(prompt, pair) for pair in wanted]
        for batch in packed(jobs, size=_Job.tokens, tokens_a_call=self._llm.tokens_a_call):
            pieces = []
            for sequence, job in enumerate(batch, start=PREFIXES):
                self._llm.share(source, sequence)
                tokens = job.context + job.reply[:-1]  # the last token is only predicted
                pieces.append(Piece(sequence, len(shared), tokens, outputs=len(job.reply)))
            values = _nats_per_token(self._llm.decode(pieces), [job.reply for job in batch])
            costs.update(zip((job.pair for job in batch), values, strict=True))
            for piece in pieces:
                self._llm.forget(piece.sequence)
        return costs

    def _job(self, prompt: SidePrompt, pair: Scored) -> _Job:
        context, reply = (shortened(self._llm, text) for text in pair)
        words = self._llm.tokenize(f" {reply}") if reply else self._llm.tokenize(LINE_END)
        return _Job(pair, self._llm.tokenize(prompt.tail(context)), words)

    def _both_orders(self, prompt: SidePrompt, pairs: Pairs) -> dict[Scored, float]:
        return self._costs(prompt, sorted({ordered for a, b in pairs for ordered in ((a, b), (b, a))}))


class LikelihoodJudge(_LikelihoodBased):
    """Mutual information in both orders: measures relatedness; contradictions score about as high as entailments."""

    kind = "likelihood"

    def _chunk_scores(self, pairs: Pairs) -> NDArray[np.float64]:
        prompt = self._prompts.positive
        given = self._both_orders(prompt, pairs)
        new = {text for pair in pairs for text in pair} - self._alone.keys()
        alone = self._costs(prompt, [("", text) for text in sorted(new)])
        self._alone.update({text: cost for (_, text), cost in alone.items()})
        return np.array([(self._gain(given, a, b) + self._gain(given, b, a)) / 2 for a, b in pairs])

    def _gain(self, given: dict[Scored, float], a: str, b: str) -> float:
        return float(np.log(max(self._alone[b], LEAST_NATS) / max(given[a, b], LEAST_NATS)))


class EntailmentJudge(_LikelihoodBased):
    """Paraphrase against contradiction prompt: the only raw score that puts contradictions below neutral pairs."""

    kind = "entailment"

    def _chunk_scores(self, pairs: Pairs) -> NDArray[np.float64]:
        same = self._both_orders(self._prompts.positive, pairs)
        other = self._both_orders(self._prompts.hard_negative, pairs)
        return np.array([(other[a, b] - same[a, b] + other[b, a] - same[b, a]) / 2 for a, b in pairs])


def _nats_per_token(logits_nv: NDArray[np.float32], replies: Sequence[Sequence[int]]) -> list[float]:
    """Return the mean of -log softmax over each reply's tokens; the rows of all replies follow each other."""
    token_n = np.concatenate([np.asarray(reply) for reply in replies])
    top_n = logits_nv.max(axis=1)
    chosen_n = logits_nv[np.arange(len(token_n)), token_n] - top_n
    cost_n = np.log(np.exp(logits_nv - top_n[:, None]).sum(axis=1)) - chosen_n
    ends = np.cumsum([len(reply) for reply in replies])
    return [float(part.mean(dtype=np.float64)) for part in np.split(cost_n, ends[:-1])]
