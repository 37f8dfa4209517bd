"""Judges that read similarity off an LLM's likelihoods: no number has to be written, so a small LLM can do it.

With e(b|a) the nats per token that b costs as a reply to the paraphrase prompt of a, c(b|a) the same under the
contradiction prompt, and u(b) the same under the paraphrase prompt of nothing:

    likelihood = (log(u(b) / e(b|a)) + log(u(a) / e(a|b))) / 2     how many times cheaper each text makes the other
    entailment = (c(b|a) - e(b|a) + c(a|b) - e(a|b)) / 2           rather as a paraphrase than as a contradiction

The first is pointwise mutual information u - e in both orders, relative to u: a long or rare text has more nats to
save, and the difference alone ranks pairs of different texts worse (76 against 81 on 160 pairs of STS-B dev, 49
against 63 on 100 pairs of SICK, Spearman x100).
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.curation.batched import PairJudge, Pairs
from pipeline.curation.costs import Costs, Scored
from pipeline.generation.judge_prompts import JUDGE_PROMPTS
from pipeline.generation.prompts import PromptSet, SidePrompt

LEAST_NATS = 0.01
"""Costs per token below this count as this, so that a text repeated word by word has a finite score."""


class _LikelihoodBased(PairJudge):
    """Shared work: what replies cost under a prompt, each asked once."""

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
    """Paraphrase against contradiction prompt: entailments score above contradictions on the average."""

    kind = "entailment"

    def _chunk_scores(self, pairs: Pairs) -> NDArray[np.float64]:
        same = self._both_orders(self._prompts.positive, pairs)
        other = self._both_orders(self._prompts.hard_negative, pairs)
        return np.array([(other[a, b] - same[a, b] + other[b, a] - same[b, a]) / 2 for a, b in pairs])
