"""What every LLM of the workbench can be asked, whatever runs it.

An LLM is asked about premises and answers with raw replies, one per side, in the order in which they end. Those that
run here (TokenLLM) also show their next-token log-probabilities, which lets the contrast work token by token.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pipeline.config import GenerationConfig
from pipeline.generation.forms import Form
from pipeline.generation.llms.meter import Usage
from pipeline.generation.prompts import FewShot, PromptSet
from pipeline.records import Contrast, InputError, Outcome, Side

ShouldStop = Callable[[], bool]
Given = str | Sequence[int]
"""A prompt as plain text, or as the tokens that a form made of it."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One premise, both of whose sides are wanted; `key` comes back with each reply, `seed` decides every draw."""

    key: int
    premise: str
    seed: int


@dataclass(frozen=True, slots=True)
class Reply:
    """One side as it came; cut: it reached the token limit; problem: what kept it from ending, reason: in words."""

    key: int
    side: Side
    raw: str
    tokens: int = 0
    cut: bool = False
    problem: Outcome | None = None
    reason: str = ""
    is_servers_fault: bool = False
    own_log_p: float | None = None
    """log p(reply | own prompt), where the LLM measured it while writing."""
    opposite_log_p: float | None = None


class LLM(Protocol):
    """An LLM that is ready to write. Not thread-safe: one call at a time; close it after use."""

    name: str
    contrast: Contrast
    """The finest contrast it is capable of."""
    context_length: int | None
    """Longest prompt and reply together, in tokens; None where a server does not say."""

    def replies(
        self, asks: Iterator[Ask], prompts: PromptSet, config: GenerationConfig, should_stop: ShouldStop
    ) -> Iterator[Reply]:
        """Yield one reply per side of each ask. Asks are drawn as room appears; only a stop leaves some out.

        What cannot be answered is answered with its problem and never spoils another reply.
        """
        ...

    def continuations(
        self, asked: FewShot, asks: Iterator[Ask], config: GenerationConfig, should_stop: ShouldStop
    ) -> Iterator[Reply]:
        """Yield how the LLM answers `asked` with the text of each ask as its question; see `replies`.

        There is no opposite to contrast a text with: omega and candidates have no effect, and the only reply to an
        ask is given as its positive.
        """
        ...

    def log_probabilities(
        self, asked: FewShot, questions: Sequence[str], replies: Sequence[str]
    ) -> NDArray[np.float64]:
        """Return log p(reply | question) of each pair in nats, summed over the reply's tokens; nan where unknown."""
        ...

    def close(self) -> None:
        """Free what it holds; calling it twice is harmless."""
        ...


@runtime_checkable
class Metered(Protocol):
    """The part of an LLM that somebody is charged for."""

    spent: Usage
    """What earlier parts of the same run were charged for; set before `replies`, counts towards the budget."""

    @property
    def usage(self) -> Usage:
        """What the run was charged for so far, earlier parts included."""
        ...


@runtime_checkable
class TokenLLM(Protocol):
    """The part of an LLM that only those running in this process have."""

    form: Form

    def tokenize(self, text: str, *, marked: bool = False) -> list[int]:
        """Return the tokens of a text, without any that start or end a sequence; see forms.Spelling."""
        ...

    def detokenize(self, tokens: Sequence[int], *, marked: bool = False) -> str:
        """Return the text of tokens; marked: special tokens are kept."""
        ...

    def prompt_tokens(self, asked: FewShot, question: str) -> list[int]:
        """Return the tokens of a whole prompt."""
        ...

    def is_end(self, token: int) -> bool:
        """Whether this token ends a reply."""
        ...

    def next_log_probabilities(self, prompt: Given, reply: Sequence[int]) -> NDArray[np.float32]:
        """Return log p of every next token after the prompt and after each token of the reply.

        float32 (len(reply) + 1, vocabulary): row t is the l_t of the method after t tokens of the reply.
        """
        ...


def log_softmax(logits_nv: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the log-probabilities of rows of logits, computed in float64."""
    shifted = logits_nv.astype(np.float64) - logits_nv.max(axis=1, keepdims=True)
    return (shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))).astype(np.float32)


def log_probabilities_of(
    llm: TokenLLM, asked: FewShot, questions: Sequence[str], replies: Sequence[str]
) -> NDArray[np.float64]:
    """Return log p(reply | question) of each pair, read one by one; nan for one that does not fit the window.

    What the prompt wrote of a reply itself, such as a prefill, is no part of what is measured.
    """
    found = []
    for question, reply in zip(questions, replies, strict=True):
        tokens = llm.tokenize(reply.removeprefix(llm.form.began(asked)))
        try:
            found.append(sum_of(llm.next_log_probabilities(llm.prompt_tokens(asked, question), tokens), tokens))
        except InputError:
            found.append(float("nan"))
    return np.array(found, dtype=np.float64)


def sum_of(log_p_tv: NDArray[np.float32], tokens: Sequence[int]) -> float:
    """Return the sum of the log-probabilities that rows 0..len(tokens) - 1 give to these tokens."""
    return float(log_p_tv[np.arange(len(tokens)), list(tokens)].astype(np.float64).sum())
