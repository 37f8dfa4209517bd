"""What the actors of a cluster hold, by kind of job: an LLM or a judge, loaded with the first block of work."""

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from pipeline.config import GenerationConfig
from pipeline.generation import triplets
from pipeline.generation.llms.loading import open_llm
from pipeline.generation.llms.protocol import LLM
from pipeline.generation.llms.registry import LLMEntry, entry_for
from pipeline.generation.prompts import PromptSet
from pipeline.generation.text_key import scores_key, text_key
from pipeline.records import GeneratedTriplet, Premise

if TYPE_CHECKING:
    from pipeline.curation.judges import Judge

Pairs = tuple[tuple[str, str], ...]
"""Pairs of sentences that are scored together: both sides of a triplet, or one gold pair."""
_ITEMS = 32


class GenerateMaker:
    """Generates for blocks of premises: items are their ids and texts."""

    def __init__(self, config: GenerationConfig, prompts: PromptSet, entry: LLMEntry) -> None:
        self._config, self._prompts, self._entry = config, prompts, entry
        self._llm: LLM | None = None

    def identity(self) -> str:
        """Return the text key as this node has it: its own weights, packages and device."""
        return text_key(self._config, self._prompts, self._entry)

    def opened(self) -> LLM:
        """Load the LLM."""
        return open_llm(self._entry, for_many=True, precision=self._config.precision)

    def results(self, block: Sequence[tuple[str, str]]) -> Iterator[tuple[str, GeneratedTriplet]]:
        """Yield the triplet of each premise."""
        self._llm = self._llm or self.opened()
        premises = (Premise(premise_id, text) for premise_id, text in block)
        for item in triplets.generate(premises, self._config, self._llm, prompts=self._prompts):
            yield item.premise.premise_id, item


class JudgeMaker:
    """Scores pairs of sentences: items are any keys, each with the pairs that belong to it."""

    def __init__(self, judge_id: str, entry: LLMEntry | None) -> None:
        self._judge_id, self._entry = judge_id, entry
        self._judge: Judge | None = None

    def identity(self) -> str:
        """Return the judge with what decides its scores on this node."""
        kind, _, model = self._judge_id.partition(":")
        if kind == "guide":
            return (
                f"{self._judge_id} sentence-transformers {version('sentence-transformers')} torch {version('torch')}"
            )
        return f"{self._judge_id} {scores_key(self._entry or entry_for(model))}"

    def results(self, block: Sequence[tuple[str, Pairs]]) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield the key and the raw values of each item's pairs."""
        from pipeline.curation.judges import load_judge  # brings scipy.stats, which actors that write do without

        self._judge = self._judge or load_judge(self._judge_id, self._entry)
        for start in range(0, len(block), _ITEMS):
            items = block[start : start + _ITEMS]
            sides = max(len(pairs) for _, pairs in items)
            # All first pairs, then all second ones, as a local job asks for them.
            asked = [pairs[side] for side in range(sides) for _, pairs in items]
            raw = self._judge.scores(asked).reshape(sides, len(items))
            for place, (key, _) in enumerate(items):
                yield key, (key, *(float(value) for value in raw[:, place]))
