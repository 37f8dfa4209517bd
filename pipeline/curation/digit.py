"""The paper's judge, which asks for a number; the score is the expected digit and not the one the model writes.

With p(d) the probability that the next token is the digit d, after a prompt that asks how similar two sentences are,

    digit(a, b) = sum_d d * p(d) / sum_d p(d),   d = 0 .. 5        (softmax over the six digit tokens alone)

and the raw value is the mean over both orders of the pair. A written digit has only six values; the expected value
also distinguishes a hesitant 3 from a certain one. The few-shot part of the prompt is decoded once.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.curation.likelihood import (
    DIGIT_PROMPT,
    DigitPrompt,
    PairJudge,
    Pairs,
    decoded_behind,
    halved,
    packed,
    shortened,
)
from pipeline.generation.engines.engine import PREFIXES, Engine, Piece
from pipeline.generation.forms import CompletionForm, Form
from pipeline.generation.llms.torch_writing import Prompt
from pipeline.generation.llms.transformers_llm import DecoderLLM, EncoderDecoderLLM
from pipeline.records import InputError

DIGITS = "012345"


class DigitJudge(PairJudge):
    """Expected value over the digit tokens 0..5; raw values lie in 0..5 but are not calibrated."""

    kind = "digit"

    def __init__(
        self,
        llm: Engine,
        *,
        prompt: DigitPrompt = DIGIT_PROMPT,
        chunk_pairs: int = 32,
        form: Form | None = None,
        name: str = "",
    ) -> None:
        """form: how the LLM is asked, by default with one text; name: by default that of the engine."""
        super().__init__(name or llm.name, chunk_pairs=chunk_pairs)
        self._llm = llm
        self._prompt = prompt
        self._form = form or CompletionForm(llm)
        self._shared = self._form.shared(prompt.few_shot, given=True)
        self._digits = digit_tokens(llm, prompt, self._form)

    def _chunk_scores(self, pairs: Pairs) -> NDArray[np.float64]:
        asked = sorted({ordered for a, b in pairs for ordered in ((a, b), (b, a))})
        expected = dict(zip(asked, self._expected([self._tail(a, b) for a, b in asked]), strict=True))
        return np.array([(expected[a, b] + expected[b, a]) / 2 for a, b in pairs])

    def _tail(self, a: str, b: str) -> list[int]:
        """Return the tokens of one pair's question up to where the digit comes."""
        pair = shortened(self._llm, a), shortened(self._llm, b)
        return before_digit(self._llm, self._prompt, self._form, pair)

    def _expected(self, tails: Sequence[list[int]]) -> NDArray[np.float64]:
        """Return the expected digit after each question, float64 (questions,)."""
        source = self._llm.prefix(self._shared)

        def read(batch: Sequence[list[int]]) -> list[float]:
            pieces = [Piece(sequence, len(self._shared), tail) for sequence, tail in enumerate(batch, start=PREFIXES)]
            return expected_digit(decoded_behind(self._llm, source, pieces)[:, self._digits]).tolist()

        batches = packed(tails, size=len, tokens_a_call=self._llm.tokens_a_call)
        return np.array([value for batch in batches for value in halved(batch, read)], dtype=np.float64)


def expected_digit(logits_nd: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return sum_d d * softmax(logits)_d for logits of the six digits, (n, 6) -> float64 (n,)."""
    shifted_nd = logits_nd.astype(np.float64) - logits_nd.max(axis=1, keepdims=True)
    weight_nd = np.exp(shifted_nd)
    return (weight_nd @ np.arange(len(DIGITS))) / weight_nd.sum(axis=1)


def before_digit(llm: Engine | DecoderLLM, prompt: DigitPrompt, form: Form, pair: tuple[str, str]) -> list[int]:
    """Return the tokens of one pair's question up to where the digit comes."""
    if form.lead:  # the blank in front may be a token of its own, or part of the digit's
        return llm.tokenize(f"{prompt.tail(*pair)}{form.lead}{DIGITS[0]}")[:-1]
    return form.own(prompt.few_shot, prompt.question(*pair), given=True)


def digit_tokens(llm: Engine | DecoderLLM, prompt: DigitPrompt, form: Form | None = None) -> list[int]:
    """Return the token that each digit is after the prompt; form: by default one text.

    Some vocabularies write " 3" as a space and a digit (SmolLM2), others as one token: the digit's token is the last
    one, and all before it must be equal for all digits. InputError for a vocabulary where this does not hold.
    """
    lead = CompletionForm.lead if form is None else form.lead
    before = f"{prompt.tail('', '')}{lead}" if lead else ""
    written = [llm.tokenize(f"{before}{digit}") for digit in DIGITS]
    if len({tuple(tokens[:-1]) for tokens in written}) > 1 or len({tokens[-1] for tokens in written}) < len(DIGITS):
        raise InputError(f"{llm.name} does not write the digits 0 to 5 as single tokens: choose another judge.")
    return [tokens[-1] for tokens in written]


class _BatchedDigitJudge(ABC):
    """The digit judge of a folder that transformers computes: the mean of expected digits in both orders."""

    def __init__(self, judge_id: str, batch_size: int) -> None:
        self.judge_id, self._batch_size = judge_id, batch_size

    def scores(self, pairs: Pairs) -> NDArray[np.float64]:
        """Return the raw value of each pair, float64 (n,) in 0..5."""
        # Sorted by length, so that a batch holds little padding.
        asked = sorted(
            {ordered for a, b in pairs for ordered in ((a, b), (b, a))}, key=lambda pair: len("".join(pair))
        )
        digit: dict[tuple[str, str], float] = {}
        for start in range(0, len(asked), self._batch_size):
            batch = asked[start : start + self._batch_size]
            digit |= dict(zip(batch, self._expected(batch), strict=True))
        return np.array([(digit[a, b] + digit[b, a]) / 2 for a, b in pairs], dtype=np.float64)

    @abstractmethod
    def _expected(self, asked: Pairs) -> NDArray[np.float64]:
        """Return the expected digit of each pair in this order, float64 (n,)."""


class FolderDigitJudge(_BatchedDigitJudge):
    """The digit judge of a decoder, with the few-shot prompt that llama.cpp's judge uses."""

    def __init__(
        self, llm: DecoderLLM, *, judge_id: str, prompt: DigitPrompt = DIGIT_PROMPT, batch_size: int = 64
    ) -> None:
        super().__init__(judge_id, batch_size)
        self._llm, self._prompt = llm, prompt
        self._prefix = llm.form.shared(prompt.few_shot, given=True)
        self._digits = digit_tokens(llm, prompt, llm.form)

    def _expected(self, asked: Pairs) -> NDArray[np.float64]:
        import torch

        tails = [before_digit(self._llm, self._prompt, self._llm.form, pair) for pair in asked]
        with torch.inference_mode():
            logits = self._llm.begin([Prompt(self._prefix, tuple(tail)) for tail in tails]).first()
            return expected_digit(logits[:, self._digits].float().cpu().numpy())


class Seq2SeqDigitJudge(_BatchedDigitJudge):
    """The digit judge of an encoder-decoder: the digit that it would answer `digit_prompt` with."""

    def __init__(self, llm: EncoderDecoderLLM, *, judge_id: str, batch_size: int = 32) -> None:
        super().__init__(judge_id, batch_size)
        self._llm, self._written = llm, digit_pieces(llm)

    def _expected(self, asked: Pairs) -> NDArray[np.float64]:
        replies = [pieces for ways in self._written for pieces in ways]
        log_p_nr = self._llm.beginning_log_p([digit_prompt(*pair) for pair in asked], replies)
        ends = np.cumsum([len(ways) for ways in self._written])
        # (n, 6): the probability of a digit is the sum over the ways in which it can be written.
        columns = [np.logaddexp.reduce(part, axis=1) for part in np.split(log_p_nr, ends[:-1], axis=1)]
        return expected_digit(np.stack(columns, axis=1))


def digit_pieces(llm: EncoderDecoderLLM) -> list[list[tuple[int, ...]]]:
    """Return the pieces of each digit, in every way in which the tokenizer writes it at the beginning of a reply.

    Raises InputError for a vocabulary that lacks a digit.
    """
    unknown = llm.tokenizer.unk_token_id
    written = [sorted({tuple(llm.tokenize(text)) for text in (digit, f" {digit}")}) for digit in DIGITS]
    ways = [pieces for found in written for pieces in found]
    if len(set(ways)) < len(ways) or not all(ways) or any(unknown in pieces for pieces in ways):
        raise InputError(f"{llm.name} cannot write the digits 0 to 5: choose another judge.")
    return written


def digit_prompt(first: str, second: str) -> str:
    """Return the question that a digit answers; without examples, as instruction-tuned encoder-decoders expect it."""
    return (
        "On a scale from 0 (nothing in common) to 5 (the same meaning), how similar are these two sentences?\n"
        f"First: {' '.join(first.split())}\nSecond: {' '.join(second.split())}\nScore:"
    )
