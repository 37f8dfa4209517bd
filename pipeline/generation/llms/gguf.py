"""Any GGUF file through llama.cpp: the lockstep scheduler behind the protocol of LLMs."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.config import GenerationConfig
from pipeline.generation.contrast import TokenChoice
from pipeline.generation.engines.engine import PREFIXES, WINDOW, Engine, Piece
from pipeline.generation.engines.lockstep import Lockstep, RawReply, Request
from pipeline.generation.llms.protocol import Ask, Reply, ShouldStop, log_probabilities_of, log_softmax
from pipeline.generation.prompts import PromptSet, SidePrompt
from pipeline.records import Contrast, InputError, Outcome, Side

_LONGEST_TOKEN_BYTES = 32
_ROW = PREFIXES
"""The sequence that single prompts are read in; no reply is open while that happens."""


class GgufLLM:
    """A loaded GGUF in llama.cpp or torch. Owns its engine, which judges use directly."""

    contrast = Contrast.TOKEN

    def __init__(self, llama: Engine) -> None:
        self.llama = llama
        self.name = llama.name
        self.context_length: int | None = llama.window

    def replies(
        self, asks: Iterator[Ask], prompts: PromptSet, config: GenerationConfig, should_stop: ShouldStop
    ) -> Iterator[Reply]:
        """Yield both sides of each ask, many decoded side by side; see LLM.replies."""
        how = TokenChoice.of(config)
        by_key = prompts.by_key() if config.omega > 0 else {str(side): prompts.own(side) for side in Side}
        lockstep = Lockstep(
            self.llama,
            {key: self.tokenize(prompt.prefix()) for key, prompt in by_key.items()},
            how,
            slots=config.batch_size or self.llama.rows // (2 if config.omega > 0 else 1),
            max_new_tokens=config.max_new_tokens,
            opposites={side: prompts.opposite_key(side) for side in Side},
        )
        requests = ((ask, self._request(ask, by_key)) for ask in asks)
        return self._answered(lockstep, requests, tuple(Side), should_stop)

    def continuations(
        self, shared: str, asks: Iterator[Ask], config: GenerationConfig, should_stop: ShouldStop
    ) -> Iterator[Reply]:
        """Yield how the LLM goes on from each text, many decoded side by side; see LLM.continuations."""
        lockstep = Lockstep(
            self.llama,
            {Side.POSITIVE: self.tokenize(shared)},
            replace(TokenChoice.of(config), omega=0.0),
            slots=config.batch_size or self.llama.rows,
            max_new_tokens=config.max_new_tokens,
        )
        requests = ((ask, self._continuation(ask)) for ask in asks)
        return self._answered(lockstep, requests, (Side.POSITIVE,), should_stop)

    def log_probabilities(self, prompts: Sequence[str], replies: Sequence[str]) -> NDArray[np.float64]:
        """Return log p(reply | prompt) of each pair; nan for one that does not fit the window."""
        return log_probabilities_of(self, prompts, replies)

    def tokenize(self, text: str) -> list[int]:
        """Return the tokens of a text; special tokens written in it stay plain text."""
        return self.llama.tokenize(text)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens; bytes of a cut character become U+FFFD."""
        return self.llama.detokenize(tokens)

    def is_end(self, token: int) -> bool:
        """Whether this token ends a reply."""
        return bool(self.llama.ends[token])

    def next_log_probabilities(self, prompt: str, reply: Sequence[int]) -> NDArray[np.float32]:
        """Return log p of every next token after the prompt and each token of the reply; see TokenLLM."""
        tokens = self.tokenize(prompt)
        if not tokens:
            raise InputError("The prompt is empty; write at least one word.")
        if len(tokens) + len(reply) > self.llama.window:
            raise InputError(
                f"Prompt and reply have {len(tokens) + len(reply)} tokens and {self.name} reads at most "
                f"{self.llama.window}: shorten the prompt."
            )
        try:
            piece = Piece(_ROW, 0, [*tokens, *reply], outputs=len(reply) + 1)
            return log_softmax(self.llama.decode([piece]))
        finally:
            self.llama.forget(_ROW)

    def close(self) -> None:
        """Free context and model."""
        self.llama.close()

    def __enter__(self) -> "GgufLLM":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answered(
        self,
        lockstep: Lockstep,
        requests: Iterator[tuple[Ask, Request | None]],
        sides: tuple[Side, ...],
        should_stop: ShouldStop,
    ) -> Iterator[Reply]:
        """Yield a reply per side of each ask; one that does not fit the window is answered with that."""
        unfit: deque[Reply] = deque()

        def fitting() -> Iterator[Request]:
            for ask, request in requests:
                if request is not None and lockstep.fits(request):
                    yield request
                else:
                    unfit.extend(Reply(ask.key, side, "", problem=Outcome.TOO_LONG) for side in sides)

        for raw in lockstep.run(fitting(), should_stop):
            while unfit:
                yield unfit.popleft()
            yield self._reply(raw)
        yield from unfit

    def _request(self, ask: Ask, prompts: Mapping[str, SidePrompt]) -> Request | None:
        if not _may_fit(ask):
            return None
        tails = {key: self.tokenize(prompt.tail(ask.premise)) for key, prompt in prompts.items()}
        return Request(ask.key, tails, seed=ask.seed)

    def _continuation(self, ask: Ask) -> Request | None:
        if not _may_fit(ask):
            return None
        return Request(ask.key, {Side.POSITIVE: self.tokenize(ask.premise)}, ask.seed, sides=(Side.POSITIVE,))

    def _reply(self, raw: RawReply) -> Reply:
        text = self.detokenize(raw.tokens)
        return Reply(raw.key, raw.side, text, tokens=len(raw.tokens), cut=raw.cut, problem=raw.problem)


def _may_fit(ask: Ask) -> bool:
    """Whether a text is worth tokenizing: a pasted book, or a line of megabytes, is not."""
    return len(ask.premise) <= WINDOW * _LONGEST_TOKEN_BYTES
