"""The digit judge of an encoder-decoder such as Flan-T5: the paper's judge, read off the beginning of a reply.

A digit may be one piece of the vocabulary or several: T5 has the piece "▁1" and writes 0 as "▁" and "0". So p(d) is
the probability of the whole digit, the product over its pieces, summed over the ways in which it can be written.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.curation.digit import DIGITS, expected_digit
from pipeline.errors import InputError
from pipeline.generation.llms.encoder_decoder import EncoderDecoderLLM


class Seq2SeqDigitJudge:
    """The expected value of the digit 0 to 5 that the LLM would answer with, the mean over both orders of a pair."""

    def __init__(self, llm: EncoderDecoderLLM, *, judge_id: str, batch_size: int = 32) -> None:
        self.judge_id, self._llm, self._batch_size = judge_id, llm, batch_size
        self._written = digit_pieces(llm)

    def scores(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Return the raw value of each pair, float64 (pairs,) within 0..5."""
        asked = sorted({ordered for a, b in pairs for ordered in ((a, b), (b, a))}, key=lambda one: len("".join(one)))
        digit: dict[tuple[str, str], float] = {}
        for start in range(0, len(asked), self._batch_size):
            batch = asked[start : start + self._batch_size]
            digit |= dict(zip(batch, self._expected([digit_prompt(*pair) for pair in batch]), strict=True))
        return np.array([(digit[a, b] + digit[b, a]) / 2 for a, b in pairs], dtype=np.float64)

    def _expected(self, prompts: Sequence[str]) -> np.ndarray:
        replies = [pieces for ways in self._written for pieces in ways]
        log_p_nr = self._llm.beginning_log_p(prompts, replies)
        place, columns = 0, []
        for ways in self._written:
            columns.append(np.logaddexp.reduce(log_p_nr[:, place : place + len(ways)], axis=1))
            place += len(ways)
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
