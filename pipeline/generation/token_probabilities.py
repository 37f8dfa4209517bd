"""Next-token log-probabilities after a prompt and its growing reply."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.generation.contrast import TokenChoice, pick
from pipeline.generation.engines.engine import PREFIXES, Engine, Piece
from pipeline.generation.llms.gguf import GgufLLM
from pipeline.generation.llms.protocol import LLM, Given, TokenLLM, log_softmax
from pipeline.generation.prompts import FewShot
from pipeline.records import InputError


class Reader(Protocol):
    """A prompt with a growing reply."""

    prompt_tokens: int

    def read(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Append tokens (at first none); return the log p of every next token in nats, float32 (vocabulary,)."""
        ...

    def close(self) -> None:
        """Forget the sequence."""
        ...


class EngineReader:
    """A row of an engine. Readers of one engine need different rows; no generation may run beside them."""

    def __init__(self, llm: Engine, prompt: Sequence[int], row: int = 0) -> None:
        self.prompt_tokens = len(prompt)
        self._llm = llm
        self._sequence = PREFIXES + row
        self._length = 0
        self._waiting = list(prompt)

    def read(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Append tokens; see Reader. InputError when the model's window is full."""
        given = [*self._waiting, *tokens]
        if self._length + len(given) > self._llm.window:
            raise InputError(
                f"Prompt and reply have {self._length + len(given)} tokens and {self._llm.name} reads at most "
                f"{self._llm.window}: shorten the prompt or the reply."
            )
        logits_nv = self._llm.decode([Piece(self._sequence, self._length, given)])
        self._length += len(given)
        self._waiting = []
        return log_softmax(logits_nv)[0]

    def close(self) -> None:
        """Forget the sequence."""
        self._llm.forget(self._sequence)


class RereadingReader:
    """Works with any LLM that returns log-probabilities by passing prompt and reply anew for every token; slow."""

    def __init__(self, llm: TokenLLM, prompt: Given) -> None:
        self.prompt_tokens = len(llm.tokenize(prompt) if isinstance(prompt, str) else prompt)
        self._llm = llm
        self._prompt = prompt
        self._reply: list[int] = []

    def read(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Append tokens; see Reader."""
        self._reply += tokens
        return self._llm.next_log_probabilities(self._prompt, self._reply)[-1]

    def close(self) -> None:
        """Nothing to release."""


def token_llm(llm: LLM) -> TokenLLM:
    """Return the LLM as one that gives token probabilities; InputError for a server, which does not."""
    if not isinstance(llm, TokenLLM):
        raise InputError(
            f"{llm.name} is a server, which shows no token probabilities: choose an LLM that runs on this machine."
        )
    return llm


@dataclass(frozen=True, slots=True)
class ReadPrompt:
    """A prompt as an LLM reads it."""

    shared: str
    """What all questions share."""
    own: str
    counts: tuple[int, int] | None
    """Tokens of both parts; None for a server, which cuts its texts itself."""
    pieces: list[str] | None
    """What each token adds to the text."""


def prompt_as_read(llm: LLM, asked: FewShot, question: str) -> ReadPrompt:
    """Return a prompt in the form in which this LLM is asked, special tokens included."""
    from pipeline.generation.llms.remote import RemoteLLM

    if isinstance(llm, RemoteLLM):
        return ReadPrompt(*llm.shown(asked, question), None, None)
    model = token_llm(llm)
    before, after = model.form.shared(asked), model.form.own(asked, question)
    tokens = [*before, *after]
    # A token alone may lose its blank, or be part of a character.
    texts = [model.detokenize(tokens[:end], marked=True) for end in range(len(tokens) + 1)]
    pieces = [longer[len(shorter) :] for shorter, longer in pairwise(texts)]
    return ReadPrompt(*model.form.texts(asked, question), (len(before), len(after)), pieces)


def open_reader(llm: LLM, prompt: Given, *, row: int = 0) -> Reader:
    """Return a reader of a prompt.

    row: different for readers that are open at the same time. InputError for an empty prompt, or a server.
    """
    if not prompt:
        raise InputError("The prompt is empty; write at least one word.")
    if isinstance(llm, GgufLLM):
        return EngineReader(llm.llama, llm.given_tokens(prompt), row)
    return RereadingReader(token_llm(llm), prompt)


def answer(
    reader: Reader,
    how: TokenChoice,
    *,
    seed: int,
    max_new_tokens: int,
    is_end: Callable[[int], bool],
) -> Iterator[int]:
    """Yield the tokens of a reply up to its end token or the limit; a line break does not end it.

    `how` sets temperature and the cuts; omega has no effect, as a single prompt has no opposite.
    """
    draws = np.random.default_rng(seed)
    following: Sequence[int] = ()
    for _ in range(max_new_tokens):
        token = pick(reader.read(following), how, draws.random() if how.temperature > 0 else None)
        if is_end(token):
            return
        yield token
        following = (token,)
