"""Stage 1 and the digit judge with an encoder-decoder LLM of transformers, such as Flan-T5, in float32 or bfloat16.

The rows of a step are the own prompts of a batch and, while omega is above 0, the opposite prompts of the same
replies; both are continued by the same token, chosen from z = l - omega * l^ (MultiCSR, arXiv 2310.10962, stage 1).
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.config import GenerationConfig
from pipeline.generation.contrast import TokenChoice, choose
from pipeline.generation.outcomes import classify
from pipeline.generation.prompt_sets import prompt_set
from pipeline.generation.prompts import PromptSet
from pipeline.records import Contrast, GeneratedTriplet, Outcome, Premise, Side, SideResult

if TYPE_CHECKING:
    import torch

DIGITS = "012345"
_SIDES = tuple(Side)


class Seq2SeqLLM:
    """An encoder-decoder and its tokenizer; loads safetensors from a local folder, without code of its own."""

    def __init__(self, folder: str, *, device: str = "auto") -> None:
        import torch
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

        from pipeline.training.encoders import resolve_device

        self.device = resolve_device(device)
        # T5 was trained in bfloat16; on CPUs float32 is the safe choice.
        dtype = torch.float32 if self.device == "cpu" else torch.bfloat16
        where: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        self.tokenizer = AutoTokenizer.from_pretrained(folder, **where)
        self.model = AutoModelForSeq2SeqLM.from_pretrained(folder, use_safetensors=True, dtype=dtype, **where)
        self.model.to(self.device).eval()
        self.end = int(self.model.config.eos_token_id)
        # Some releases keep it with the settings of generation, others with those of the model.
        start = getattr(self.model.config, "decoder_start_token_id", None)
        self.start = int(self.model.generation_config.decoder_start_token_id if start is None else start)

    def replies(
        self, own: Sequence[str], opposite: Sequence[str] | None, config: GenerationConfig, seeds: Sequence[list[int]]
    ) -> list[tuple[str, int, bool]]:
        """Write one reply per own prompt: its text, its tokens, whether it was cut at max_new_tokens."""
        import torch

        how = TokenChoice(config.omega, config.plausibility, config.temperature, config.top_p)
        draws = [np.random.default_rng(seed) for seed in seeds]
        tokens: list[list[int]] = [[] for _ in own]
        open_rows = np.ones(len(own), dtype=bool)
        with torch.inference_mode():
            step = _Steps(self, [*own, *(opposite or [])])
            last = np.full(len(own), self.start)
            for _ in range(config.max_new_tokens):
                logits = step(np.tile(last, 1 if opposite is None else 2))
                theirs = None if opposite is None else logits[len(own) :]
                last = choose(logits[: len(own)], theirs, how, np.array([draw.random() for draw in draws]))
                for row in np.flatnonzero(open_rows):
                    if last[row] == self.end:
                        open_rows[row] = False
                    else:
                        tokens[row].append(int(last[row]))
                if not open_rows.any():
                    break
        texts = self.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return [(text, len(row), bool(cut)) for text, row, cut in zip(texts, tokens, open_rows, strict=True)]

    def first_logits(self, prompts: Sequence[str]) -> np.ndarray:
        """Return the logits of the first token of a reply, float32 (prompts, vocabulary)."""
        import torch

        with torch.inference_mode():
            return _Steps(self, list(prompts))(np.full(len(prompts), self.start))


class _Steps:
    """The encoded prompts of a batch and the decoder's memory of what was chosen so far."""

    def __init__(self, llm: Seq2SeqLLM, prompts: list[str]) -> None:
        self.llm = llm
        encoded = llm.tokenizer(prompts, padding=True, truncation=True, max_length=512, return_tensors="pt")
        self.attention: torch.Tensor = encoded["attention_mask"].to(llm.device)
        self.encoded = llm.model.get_encoder()(
            input_ids=encoded["input_ids"].to(llm.device), attention_mask=self.attention
        )
        self.memory: Any = None

    def __call__(self, last: np.ndarray) -> np.ndarray:
        import torch

        out = self.llm.model(
            encoder_outputs=self.encoded,
            attention_mask=self.attention,
            decoder_input_ids=torch.from_numpy(last.astype(np.int64))[:, None].to(self.llm.device),
            past_key_values=self.memory,
            use_cache=True,
        )
        self.memory = out.past_key_values
        return np.asarray(out.logits[:, -1].float().cpu().numpy())


def generate(premises: Sequence[Premise], config: GenerationConfig, llm: Seq2SeqLLM) -> Iterator[GeneratedTriplet]:
    """Yield a positive and a hard negative for each premise, a batch at a time."""
    prompts = prompt_set(config.prompt_set)
    waiting = iter(premises)
    while batch := list(islice(waiting, max(1, config.batch_size // len(_SIDES)))):
        asked = [(premise, side) for premise in batch for side in _SIDES]
        own = [_prompt(prompts, side, premise, opposite=False) for premise, side in asked]
        opposite = [_prompt(prompts, side, premise, opposite=True) for premise, side in asked]
        # The seed depends on the premise, not on its place, so that a resumed run draws the same.
        seeds = [[config.seed, int(p.premise_id, 16), _SIDES.index(side)] for p, side in asked]
        replies = llm.replies(own, opposite if config.omega > 0 else None, config, seeds)
        results = [
            _result(raw, premise, side, prompts, tokens, cut=cut)
            for (raw, tokens, cut), (premise, side) in zip(replies, asked, strict=True)
        ]
        contrast = Contrast.TOKEN if config.omega > 0 else Contrast.NONE
        for number, premise in enumerate(batch):
            yield GeneratedTriplet(premise, results[2 * number], results[2 * number + 1], contrast)


class DigitJudge:
    """The expected value of the digit 0 to 5 that the LLM would answer with: the paper's judge, read off one step."""

    def __init__(self, llm: Seq2SeqLLM, *, judge_id: str, batch_size: int = 32) -> None:
        self.judge_id, self._llm, self._batch_size = judge_id, llm, batch_size
        self._digits = [llm.tokenizer(digit, add_special_tokens=False)["input_ids"][-1] for digit in DIGITS]

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


def _prompt(prompts: PromptSet, side: Side, premise: Premise, *, opposite: bool) -> str:
    chosen = prompts.opposite(side) if opposite else prompts.own(side)
    return chosen.prefix() + chosen.tail(premise.text)


def _result(raw: str, premise: Premise, side: Side, prompts: PromptSet, tokens: int, *, cut: bool) -> SideResult:
    if not premise.text.strip():
        return SideResult("", raw, Outcome.FAILED, tokens)
    return classify(raw, premise.text, side, prompts, cut=cut, tokens=tokens)
