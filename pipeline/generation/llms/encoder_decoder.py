"""An encoder-decoder of transformers such as Flan-T5: 2N prompts encoded once, N replies decoded in both halves.

The rows of a step are the own prompts of a batch and, while omega is above 0, the opposite prompts of the same
replies; the decoder of both is given the same tokens.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import GenerationConfig
from pipeline.errors import InputError
from pipeline.generation.llms.batch_limits import BatchLimits
from pipeline.generation.llms.torch_llm import LONGEST_WINDOW, TorchLLM, load_settings
from pipeline.generation.llms.torch_writing import Prompt, Steps
from pipeline.training.encoders import check_loading

if TYPE_CHECKING:
    import torch


class EncoderDecoderLLM(TorchLLM):
    """An encoder-decoder and its tokenizer."""

    def __init__(self, model: Any, tokenizer: Any, *, name: str, limits: BatchLimits | None = None) -> None:
        super().__init__(model, tokenizer, name=name, limits=limits)
        # Some releases keep it with the settings of generation, others with those of the model.
        start = getattr(model.config, "decoder_start_token_id", None)
        self.start = int(model.generation_config.decoder_start_token_id if start is None else start)

    @classmethod
    def load(cls, folder: Path, *, name: str, device: str, limits: BatchLimits | None = None) -> "EncoderDecoderLLM":
        """Load a folder with safetensors weights."""
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        loaded: Any = AutoModelForSeq2SeqLM.from_pretrained(folder, output_loading_info=True, **load_settings(device))
        model, info = loaded
        check_loading(model, info, folder)
        return cls(model.to(device).eval(), tokenizer, name=name, limits=limits)

    def prompt(self, shared: str, rest: str) -> Prompt:
        """Return the tokens of a prompt as the encoder wants them, end token included."""
        clean = (shared + rest).encode("utf-8", errors="replace").decode()
        return Prompt((), tuple(self.tokenizer(clean, verbose=False)["input_ids"]))

    def begin(self, prompts: Sequence[Prompt]) -> Steps:
        """Encode the prompts, one per row."""
        return _EncoderDecoderSteps(self, [prompt.tail for prompt in prompts])

    def beginning_log_p(self, prompts: Sequence[str], beginnings: Sequence[tuple[int, ...]]) -> NDArray[np.float64]:
        """Return the log-probability that the reply to each prompt begins with these tokens, in nats.

        float64 (prompts, beginnings). Beginnings that differ in their last token alone are read off one pass.
        """
        import torch

        tails = [self._cut(self.prompt(prompt, "").tail) for prompt in prompts]
        found = np.zeros((len(prompts), len(beginnings)))
        with torch.inference_mode():
            for shared in dict.fromkeys(tokens[:-1] for tokens in beginnings):
                steps = _EncoderDecoderSteps(self, tails)
                log_p_nv = steps.first().double().log_softmax(-1)
                so_far = torch.zeros(len(prompts), dtype=torch.float64, device=log_p_nv.device)
                for token in shared:
                    so_far = so_far + log_p_nv[:, token]
                    log_p_nv = steps.next(np.full(len(prompts), token)).double().log_softmax(-1)
                for place, tokens in enumerate(beginnings):
                    if tokens[:-1] == shared:
                        found[:, place] = (so_far + log_p_nv[:, tokens[-1]]).cpu().numpy()
        return found

    def next_log_probabilities(self, prompt: str, reply: Sequence[int]) -> NDArray[np.float32]:
        """Return log p of every next token after the prompt and each token of the reply; see TokenLLM."""
        import torch

        tokens = self.prompt(prompt, "").tail
        if len(tokens) > (self.context_length or LONGEST_WINDOW):
            raise InputError(
                f"The prompt has {len(tokens)} tokens and {self.name} reads at most {self.context_length}: "
                "shorten the prompt."
            )
        with torch.inference_mode():
            out = self.model(
                input_ids=torch.tensor([tokens], device=self.device),
                decoder_input_ids=torch.tensor([[self.start, *reply]], device=self.device),
            )
            return np.asarray(out.logits[0].float().log_softmax(-1).cpu().numpy())

    def _cut(self, tokens: tuple[int, ...]) -> tuple[int, ...]:
        """Return at most the tokens that the encoder reads, its end token kept."""
        longest = self.context_length or LONGEST_WINDOW
        return tokens if len(tokens) <= longest else (*tokens[: longest - 1], tokens[-1])

    def _window(self) -> int:
        longest = min(LONGEST_WINDOW, int(self.tokenizer.model_max_length))
        return min(longest, int(getattr(self.model.config, "max_position_embeddings", None) or longest))

    def _room(self, config: GenerationConfig) -> int:
        return 0  # the reply has the decoder for itself


class _EncoderDecoderSteps(Steps):
    """The encoded prompts of a batch and the decoder's memory of what was chosen so far."""

    def __init__(self, llm: EncoderDecoderLLM, prompts: Sequence[Sequence[int]]) -> None:
        import torch

        self._llm = llm
        longest = max(map(len, prompts))
        # T5 measures distances from the left: padding stands on the right here.
        ids = torch.full((len(prompts), longest), llm.tokenizer.pad_token_id or 0, dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for place, prompt in enumerate(prompts):
            ids[place, : len(prompt)] = torch.tensor(prompt)
            mask[place, : len(prompt)] = 1
        self._mask = mask.to(llm.device)
        self._encoded = llm.model.get_encoder()(input_ids=ids.to(llm.device), attention_mask=self._mask)
        self._cache: Any = None

    def first(self) -> "torch.Tensor":
        return self.next(np.full(len(self._mask), self._llm.start))

    def next(self, tokens: NDArray[np.int64]) -> "torch.Tensor":
        import torch

        out = self._llm.model(
            encoder_outputs=self._encoded,
            attention_mask=self._mask,
            decoder_input_ids=torch.from_numpy(tokens.astype(np.int64))[:, None].to(self._llm.device),
            past_key_values=self._cache,
            use_cache=True,
        )
        self._cache = out.past_key_values
        return out.logits[:, -1]

    def keep(self, rows: NDArray[np.int64]) -> None:
        import torch

        chosen = torch.from_numpy(rows).to(self._llm.device)
        self._cache.batch_select_indices(chosen)
        self._mask = self._mask[chosen]
        self._encoded.last_hidden_state = self._encoded.last_hidden_state[chosen]
