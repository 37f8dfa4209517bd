"""The judge that asks for a number, as the paper does: the value the model expects to write, not the one it writes.

With p(d) the probability of the next token being the digit d, after a prompt that asks how alike two sentences are,

    digit(a, b) = sum_d d * p(d) / sum_d p(d),   d = 0 .. 5        (softmax over the six digit tokens alone)

and the raw value is the mean over both orders of the pair. A written number would be one of six values at best; the
expected value also tells a hesitant 3 from a sure one. The few-shot part of the prompt is decoded once.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.curation.batched import PairJudge, Pairs, packed, shortened
from pipeline.errors import InputError
from pipeline.generation.engine import Engine
from pipeline.generation.judge_prompts import DIGIT_PROMPT, DigitPrompt
from pipeline.generation.llama import PREFIXES, Piece

DIGITS = "012345"


class DigitJudge(PairJudge):
    """Expected value over the digit tokens 0..5; raw values lie in 0..5, which makes them no calibrated scores."""

    kind = "digit"

    def __init__(self, llm: Engine, *, prompt: DigitPrompt = DIGIT_PROMPT, chunk_pairs: int = 32) -> None:
        super().__init__(llm.name, chunk_pairs=chunk_pairs)
        self._llm = llm
        self._prompt = prompt
        self._shared = llm.tokenize(prompt.prefix())
        self._digits = digit_tokens(llm, prompt)

    def _chunk_scores(self, pairs: Pairs) -> NDArray[np.float64]:
        asked = sorted({ordered for a, b in pairs for ordered in ((a, b), (b, a))})
        expected = dict(zip(asked, self._expected([self._tail(a, b) for a, b in asked]), strict=True))
        return np.array([(expected[a, b] + expected[b, a]) / 2 for a, b in pairs])

    def _tail(self, a: str, b: str) -> list[int]:
        """Return the tokens of one pair's question up to where the digit comes."""
        text = self._prompt.tail(shortened(self._llm, a), shortened(self._llm, b))
        return self._llm.tokenize(f"{text} {DIGITS[0]}")[:-1]

    def _expected(self, tails: Sequence[list[int]]) -> NDArray[np.float64]:
        """Return the expected digit after each question, float64 (questions,)."""
        source = self._llm.prefix(self._shared)
        values: list[NDArray[np.float64]] = []
        for batch in packed(tails, size=len, tokens_a_call=self._llm.tokens_a_call):
            pieces = []
            for sequence, tail in enumerate(batch, start=PREFIXES):
                self._llm.share(source, sequence)
                pieces.append(Piece(sequence, len(self._shared), tail))
            values.append(expected_digit(self._llm.decode(pieces)[:, self._digits]))
            for piece in pieces:
                self._llm.forget(piece.sequence)
        return np.concatenate(values) if values else np.empty(0)


def expected_digit(logits_nd: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return sum_d d * softmax(logits)_d for logits of the six digits, (n, 6) -> float64 (n,)."""
    shifted_nd = logits_nd.astype(np.float64) - logits_nd.max(axis=1, keepdims=True)
    weight_nd = np.exp(shifted_nd)
    return (weight_nd @ np.arange(len(DIGITS))) / weight_nd.sum(axis=1)


def digit_tokens(llm: Engine, prompt: DigitPrompt) -> list[int]:
    """Return the token that each digit is after the prompt.

    Some vocabularies write " 3" as a blank and a digit (SmolLM2), others as one token: the digit's token is the last
    one, and all before it must be the same for each digit. InputError for a vocabulary where that does not hold.
    """
    written = [llm.tokenize(f"{prompt.tail('', '')} {digit}") for digit in DIGITS]
    if len({tuple(tokens[:-1]) for tokens in written}) > 1 or len({tokens[-1] for tokens in written}) < len(DIGITS):
        raise InputError(f"{llm.name} does not write the digits 0 to 5 as single tokens: choose another judge.")
    return [tokens[-1] for tokens in written]
