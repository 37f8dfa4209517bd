"""What the actors of a cluster hold, by what is computed: an LLM, a judge or an encoder, loaded on the node."""

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from pipeline.config import GenerationConfig
from pipeline.generation import triplets
from pipeline.generation.llms.loading import open_llm
from pipeline.generation.llms.protocol import LLM, Ask, Reply
from pipeline.generation.llms.registry import LLMEntry, entry_for
from pipeline.generation.prompts import FewShot, PromptSet
from pipeline.generation.text_key import scores_key, text_key
from pipeline.records import GeneratedTriplet, Premise

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

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

    def results(self, block: Sequence[tuple[str, Pairs]]) -> Iterator[tuple[str, tuple[float, ...]]]:
        """Yield the raw values of each item's pairs."""
        from pipeline.curation.judges import load_judge  # brings scipy.stats, which actors that write do without

        self._judge = self._judge or load_judge(self._judge_id, self._entry)
        for start in range(0, len(block), _ITEMS):
            items = block[start : start + _ITEMS]
            sides = max(len(pairs) for _, pairs in items)
            # All first pairs, then all second ones, as a local job asks for them.
            asked = [pairs[side] for side in range(sides) for _, pairs in items]
            raw = self._judge.scores(asked).reshape(sides, len(items))
            for place, (key, _) in enumerate(items):
                yield key, tuple(float(value) for value in raw[:, place])


class WriteMaker:
    """Continues a few-shot prompt: items are keys, each with the prompt, which all of a block share, and its ask."""

    def __init__(self, config: GenerationConfig, entry: LLMEntry) -> None:
        self._config, self._entry = config, entry
        self._llm: LLM | None = None

    def identity(self) -> str:
        """Return what decides the replies on this node: weights, packages and device."""
        return scores_key(self._entry)

    def opened(self) -> LLM:
        """Load the LLM."""
        return open_llm(self._entry, for_many=True, precision=self._config.precision)

    def results(self, block: Sequence[tuple[str, tuple[FewShot, Ask]]]) -> Iterator[tuple[str, Reply]]:
        """Yield the reply to each ask."""
        self._llm = self._llm or self.opened()
        prompt = block[0][1][0]
        key_of = {ask.key: key for key, (_, ask) in block}
        for reply in self._llm.continuations(prompt, (ask for _, (_, ask) in block), self._config, lambda: False):
            yield key_of[reply.key], reply


class EmbedMaker:
    """Embeds texts: items are keys, each with its text."""

    def __init__(self, folder: str, batch_size: int) -> None:
        self._folder, self._batch_size = folder, batch_size
        self._encoder: SentenceTransformer | None = None

    def identity(self) -> str:
        """Return the encoder's identity, as the cache of vectors has it."""
        from pipeline.vectors import encoder_identity

        return encoder_identity(self._opened())

    def results(self, block: Sequence[tuple[str, str]]) -> Iterator[tuple[str, Any]]:
        """Yield the vector of each text, float32 (d,)."""
        vectors = self._opened().encode(
            [text for _, text in block], batch_size=self._batch_size, show_progress_bar=False
        )
        yield from zip((key for key, _ in block), vectors, strict=True)

    def _opened(self) -> "SentenceTransformer":
        from pipeline.encoder_folders import resolve_device
        from pipeline.encoders import load_encoder

        self._encoder = self._encoder or load_encoder(self._folder, device=resolve_device("auto"))
        return self._encoder
