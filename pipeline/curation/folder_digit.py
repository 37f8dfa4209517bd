"""The digit judge of a transformers decoder, on a CPU or a GPU: many questions at once, their examples read once."""

from collections.abc import Sequence

import numpy as np

from pipeline.curation.digit import DIGITS, expected_digit
from pipeline.errors import InputError
from pipeline.generation.judge_prompts import DIGIT_PROMPT, DigitPrompt
from pipeline.generation.llms.decoder import DecoderLLM
from pipeline.generation.llms.torch_writing import Prompt


class FolderDigitJudge:
    """Expected value over the digit tokens 0..5, the mean over both orders of a pair."""

    def __init__(
        self, llm: DecoderLLM, *, judge_id: str, prompt: DigitPrompt = DIGIT_PROMPT, batch_size: int = 64
    ) -> None:
        self.judge_id, self._llm, self._prompt, self._batch_size = judge_id, llm, prompt, batch_size
        self._prefix = llm.prompt(prompt.prefix(), "").prefix
        written = [llm.tokenize(f"{prompt.tail('', '')} {digit}") for digit in DIGITS]
        if len({tuple(tokens[:-1]) for tokens in written}) > 1 or len({tokens[-1] for tokens in written}) < 6:
            raise InputError(f"{llm.name} does not write the digits 0 to 5 as single tokens: choose another judge.")
        self._digits = [tokens[-1] for tokens in written]

    def scores(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Return the raw value of each pair, float64 (n,) in 0..5."""
        asked = sorted(
            {ordered for a, b in pairs for ordered in ((a, b), (b, a))}, key=lambda pair: len("".join(pair))
        )
        values: list[np.ndarray] = []
        for start in range(0, len(asked), self._batch_size):
            values.append(self._expected(asked[start : start + self._batch_size]))
        digit = dict(zip(asked, np.concatenate(values), strict=True)) if values else {}
        return np.array([(digit[a, b] + digit[b, a]) / 2 for a, b in pairs], dtype=np.float64)

    def _expected(self, asked: Sequence[tuple[str, str]]) -> np.ndarray:
        import torch

        tails = [self._llm.tokenize(f"{self._prompt.tail(*pair)} {DIGITS[0]}")[:-1] for pair in asked]
        with torch.inference_mode():
            logits = self._llm.begin([Prompt(self._prefix, tuple(tail)) for tail in tails]).first()
            return expected_digit(logits[:, self._digits].float().cpu().numpy())
