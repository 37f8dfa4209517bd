"""The digit judge of an encoder-decoder such as Flan-T5: the paper's judge, read off the first step of a reply."""

from collections.abc import Sequence

import numpy as np

from pipeline.generation.llms.encoder_decoder import EncoderDecoderLLM

DIGITS = "012345"


class Seq2SeqDigitJudge:
    """The expected value of the digit 0 to 5 that the LLM would answer with."""

    def __init__(self, llm: EncoderDecoderLLM, *, judge_id: str, batch_size: int = 32) -> None:
        self.judge_id, self._llm, self._batch_size = judge_id, llm, batch_size
        self._digits = [llm.tokenize(digit)[-1] for digit in DIGITS]

    def scores(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Return the mean digit of each pair, float64 (pairs,) within 0..5."""
        found = []
        for start in range(0, len(pairs), self._batch_size):
            prompts = [digit_prompt(*pair) for pair in pairs[start : start + self._batch_size]]
            logits = self._llm.first_logits(prompts)[:, self._digits].astype(np.float64)
            share = np.exp(logits - logits.max(axis=1, keepdims=True))
            found.append(share @ np.arange(len(DIGITS)) / share.sum(axis=1))
        return np.concatenate(found) if found else np.empty(0)


def digit_prompt(first: str, second: str) -> str:
    """Return the question that a digit answers; without examples, as instruction-tuned encoder-decoders expect it."""
    return (
        "On a scale from 0 (nothing in common) to 5 (the same meaning), how similar are these two sentences?\n"
        f"First: {' '.join(first.split())}\nSecond: {' '.join(second.split())}\nScore:"
    )
