"""Any LLM in an engine of this process: the lockstep scheduler behind the protocol of LLMs."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.config import GenerationConfig
from pipeline.generation.contrast import TokenChoice
from pipeline.generation.engines.engine import PREFIXES, Engine, Piece
from pipeline.generation.engines.lockstep import OTHER, Lockstep, RawReply, Request
from pipeline.generation.forms import CompletionForm, Form
from pipeline.generation.llms.protocol import Ask, Given, Reply, ShouldStop, log_probabilities_of, log_softmax
from pipeline.generation.prompts import FewShot, PromptSet, one_line
from pipeline.generation.reply_limit import ReplyLimit
from pipeline.records import Contrast, InputError, Outcome, Side

_LONGEST_TOKEN_BYTES = 32
_ROW = PREFIXES
"""The sequence that single prompts are read in; no reply is open while that happens."""


class GgufLLM:
    """A loaded GGUF file or transformers folder. Owns its engine, which judges use directly."""

    contrast = Contrast.TOKEN

    def __init__(self, llama: Engine, form: Form | None = None) -> None:
        """form: how it is asked, by default with one text."""
        self.llama = llama
        self.form = form or CompletionForm(llama)
        self._ends = llama.ends if self.form.ends_at_line else llama.own_ends.copy()
        self._ends[list(self.form.ends())] = True
        self.name = llama.name
        self.context_length: int | None = llama.window

    def replies(
        self, asks: Iterator[Ask], prompts: PromptSet, config: GenerationConfig, should_stop: ShouldStop
    ) -> Iterator[Reply]:
        """Yield both sides of each ask, many decoded side by side; see LLM.replies."""
        how = TokenChoice.of(config)
        asked = prompts.by_key() if config.omega > 0 else {str(side): prompts.own(side) for side in Side}
        by_key = {key: prompt.few_shot for key, prompt in asked.items()}
        slots = config.batch_size or self.llama.rows // (2 if config.omega > 0 else 1)
        opposites = {side: prompts.opposite_key(side) for side in Side}
        lockstep = self._lockstep(by_key, how, config, slots=slots, opposites=opposites)
        requests = ((ask, self._request(one_line(ask.premise), ask, by_key, tuple(Side))) for ask in asks)
        return self._answered(lockstep, requests, {side: by_key[str(side)] for side in Side}, should_stop)

    def continuations(
        self, asked: FewShot, asks: Iterator[Ask], config: GenerationConfig, should_stop: ShouldStop
    ) -> Iterator[Reply]:
        """Yield how the LLM answers each question, many decoded side by side; see LLM.continuations."""
        how = replace(TokenChoice.of(config), omega=0.0)
        by_key = {str(Side.POSITIVE): asked}
        lockstep = self._lockstep(by_key, how, config, slots=config.batch_size or self.llama.rows)
        requests = ((ask, self._request(ask.premise, ask, by_key, (Side.POSITIVE,))) for ask in asks)
        return self._answered(lockstep, requests, {Side.POSITIVE: asked}, should_stop)

    def log_probabilities(
        self, asked: FewShot, questions: Sequence[str], replies: Sequence[str]
    ) -> NDArray[np.float64]:
        """Return log p(reply | question) of each pair; nan for one that does not fit the window."""
        return log_probabilities_of(self, asked, questions, replies)

    def tokenize(self, text: str, *, marked: bool = False) -> list[int]:
        """Return the tokens of a text; special tokens written in it stay plain text unless they are marked so."""
        return self.llama.tokenize(text, marked=marked) if marked else self.llama.tokenize(text)

    def detokenize(self, tokens: Sequence[int], *, marked: bool = False) -> str:
        """Return the text of tokens; bytes of a cut character become U+FFFD.

        The tags of a thought are kept. marked: special tokens as well.
        """
        return self.llama.detokenize(tokens, marked=marked or self.form.thinks)

    def prompt_tokens(self, asked: FewShot, question: str) -> list[int]:
        """Return the tokens of a whole prompt."""
        return [*self.form.shared(asked), *self.form.own(asked, question)]

    def given_tokens(self, prompt: Given) -> list[int]:
        """Return the tokens of a prompt; a plain text begins as the model's texts do. InputError for an empty one."""
        tokens = [*self.llama.start, *self.tokenize(prompt)] if isinstance(prompt, str) else list(prompt)
        if not tokens:
            raise InputError("The prompt is empty; write at least one word.")
        return tokens

    def is_end(self, token: int) -> bool:
        """Whether this token ends a reply."""
        return bool(self._ends[token])

    def next_log_probabilities(self, prompt: Given, reply: Sequence[int]) -> NDArray[np.float32]:
        """Return log p of every next token after the prompt and each token of the reply; see TokenLLM."""
        tokens = self.given_tokens(prompt)
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

    def _lockstep(
        self,
        by_key: Mapping[str, FewShot],
        how: TokenChoice,
        config: GenerationConfig,
        *,
        slots: int,
        opposites: Mapping[Side, str] = OTHER,
    ) -> Lockstep:
        limit = ReplyLimit(config, self.form, self)
        return Lockstep(
            self.llama,
            {key: self.form.shared(asked) for key, asked in by_key.items()},
            how,
            slots=slots,
            max_new_tokens=limit.longest,
            opposites=opposites,
            ends=self._ends,
            is_full=limit.is_reached,
            is_measured=config.candidates > 1,
        )

    def _answered(
        self,
        lockstep: Lockstep,
        requests: Iterator[tuple[Ask, Request | None]],
        sides: Mapping[Side, FewShot],
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
            yield self._reply(raw, self.form.began(sides[raw.side]))
        yield from unfit

    def _request(
        self, question: str, ask: Ask, by_key: Mapping[str, FewShot], sides: tuple[Side, ...]
    ) -> Request | None:
        if len(ask.premise) > self.llama.window * _LONGEST_TOKEN_BYTES:  # a pasted book, or a line of megabytes
            return None
        tails = {key: self.form.own(asked, question) for key, asked in by_key.items()}
        return Request(ask.key, tails, seed=ask.seed, sides=sides)

    def _reply(self, raw: RawReply, began: str) -> Reply:
        text = began + self.detokenize(raw.tokens)
        return Reply(
            raw.key,
            raw.side,
            text,
            tokens=len(raw.tokens),
            cut=raw.cut,
            problem=raw.problem,
            own_log_p=raw.own_log_p,
            opposite_log_p=raw.opposite_log_p,
        )
