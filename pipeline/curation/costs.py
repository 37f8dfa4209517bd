"""What replies cost an LLM after a context, in nats per token: the measure that the likelihood judges are made of."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.curation.batched import LONGEST_TEXT_TOKENS, packed, shortened
from pipeline.errors import InputError
from pipeline.generation.engine import Engine
from pipeline.generation.llama import PREFIXES, Piece
from pipeline.generation.prompts import LINE_END, SidePrompt

if TYPE_CHECKING:
    from pipeline.generation.llms.torch_llm import TorchLLM

Scored = tuple[str, str]  # (context, reply); the context "" asks for a reply to nothing


class Costs(Protocol):
    """Measures replies under a prompt."""

    def of(self, prompt: SidePrompt, wanted: Iterable[Scored]) -> dict[Scored, float]:
        """Return the nats per token of each (context, reply) after prompt and context."""
        ...


@dataclass(frozen=True, slots=True)
class _Job:
    pair: Scored
    context: list[int]
    reply: list[int]

    def tokens(self) -> int:
        """Return how many tokens the call takes."""
        return len(self.context) + len(self.reply)


class EngineCosts:
    """Costs under a GGUF file, many texts read together behind the shared prompt."""

    def __init__(self, llm: Engine) -> None:
        self._llm = llm

    def of(self, prompt: SidePrompt, wanted: Iterable[Scored]) -> dict[Scored, float]:
        """Return the nats per token of each (context, reply); see Costs."""
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


class FolderCosts:
    """Costs under a transformers folder, decoder or encoder-decoder, on a CPU or a GPU.

    Raises InputError where the longest question would not fit the model's window.
    """

    def __init__(self, llm: "TorchLLM") -> None:
        least = 2 * LONGEST_TEXT_TOKENS + 128  # two texts and the examples before them
        if llm.context_length is not None and llm.context_length < least:
            raise InputError(f"{llm.name} reads {llm.context_length} tokens and judging needs {least}: take another.")
        self._llm = llm

    def of(self, prompt: SidePrompt, wanted: Iterable[Scored]) -> dict[Scored, float]:
        """Return the nats per token of each (context, reply); see Costs."""
        from pipeline.generation.llms.torch_scoring import reply_log_probabilities

        pairs = list(wanted)
        prompts, replies = [], []
        for pair in pairs:
            context, reply = (shortened(self._llm, text) for text in pair)
            prompts.append(self._llm.prompt(prompt.prefix(), prompt.tail(context)))
            replies.append(self._llm.tokenize(f" {reply}" if reply else LINE_END))
        if not pairs:
            return {}
        found = reply_log_probabilities(self._llm, prompts, replies)
        lengths = np.array([max(1, len(reply)) for reply in replies])
        return dict(zip(pairs, (-found / lengths).tolist(), strict=True))


def _nats_per_token(logits_nv: NDArray[np.float32], replies: Sequence[Sequence[int]]) -> list[float]:
    """Return the mean of -log softmax over each reply's tokens; the rows of all replies follow each other."""
    token_n = np.concatenate([np.asarray(reply) for reply in replies])
    top_n = logits_nv.max(axis=1)
    chosen_n = logits_nv[np.arange(len(token_n)), token_n] - top_n
    cost_n = np.log(np.exp(logits_nv - top_n[:, None]).sum(axis=1)) - chosen_n
    ends = np.cumsum([len(reply) for reply in replies])
    return [float(part.mean(dtype=np.float64)) for part in np.split(cost_n, ends[:-1])]
