"""A decoder-only model of transformers: one left-padded batch with explicit positions and a cache of keys and values.

The part of a prompt that all premises share (instruction and examples) is read once per side and copied to the rows;
only the premise itself is read per row:

    row:   [padding] prefix [padding] tail | reply ...      padding is masked, positions count what is not padding
"""

import copy
from collections.abc import Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import GenerationConfig
from pipeline.generation.engines.transformers_folder import LONGEST_WINDOW, start_tokens
from pipeline.generation.forms import CompletionForm
from pipeline.generation.llms.protocol import Given
from pipeline.generation.llms.torch_llm import BatchLimits, FormOf, TorchLLM
from pipeline.generation.llms.torch_writing import Prompt, Steps
from pipeline.generation.prompts import FewShot
from pipeline.generation.reply_limit import ReplyLimit
from pipeline.records import InputError

if TYPE_CHECKING:
    import torch


class DecoderLLM(TorchLLM):
    """A decoder such as SmolLM2, Llama or Qwen."""

    auto_class = "AutoModelForCausalLM"

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        name: str,
        limits: BatchLimits | None = None,
        form_of: FormOf = CompletionForm,
    ) -> None:
        super().__init__(model, tokenizer, name=name, limits=limits, form_of=form_of)
        known = signature(model.forward).parameters
        self._takes_positions = "position_ids" in known
        self._takes_last = "logits_to_keep" in known
        self._start = start_tokens(tokenizer)
        self._shared: tuple[tuple[tuple[int, ...], ...], tuple[torch.Tensor, Any]] | None = None

    def prompt(self, asked: FewShot, question: str, *, given: bool = False) -> Prompt:
        """Return the tokens of a prompt: what all questions share, and the rest."""
        return Prompt(self.form.shared(asked, given=given), tuple(self.form.own(asked, question, given=given)))

    def begin(self, prompts: Sequence[Prompt]) -> Steps:
        """Read the shared prefixes once, then every row's own tail."""
        return _DecoderSteps(self, prompts)

    def next_log_probabilities(self, prompt: Given, reply: Sequence[int]) -> NDArray[np.float32]:
        """Return log p of every next token after the prompt and each token of the reply; see TokenLLM."""
        import torch

        asked = [*self._start, *self.tokenize(prompt)] if isinstance(prompt, str) else prompt
        tokens = [*asked, *reply]
        if len(tokens) == len(reply):
            raise InputError("The prompt is empty; write at least one word.")
        _check_length(self, len(tokens))
        with torch.inference_mode():
            ids = torch.tensor([tokens], device=self.device)
            logits = self.forward(input_ids=ids, last=len(reply) + 1).logits[0, -len(reply) - 1 :]
            return np.asarray(logits.float().log_softmax(-1).cpu().numpy())

    def forward(self, *, last: int = 1, positions: "torch.Tensor | None" = None, **inputs: Any) -> Any:
        """Run the model; logits are computed for the last positions only, where the model can do that."""
        if self._takes_last:
            inputs["logits_to_keep"] = last
        if positions is not None and self._takes_positions:
            inputs["position_ids"] = positions
        return self.model(**inputs)

    def prefixes(self, wanted: tuple[tuple[int, ...], ...]) -> tuple["torch.Tensor", Any]:
        """Return mask (prefixes, length) and cache of these prefixes, read when they are new."""
        if self._shared is None or self._shared[0] != wanted:
            ids, mask = left_padded(wanted, self.device)
            out = self.forward(input_ids=ids, attention_mask=mask, positions=positions_of(mask), use_cache=True)
            self._shared = wanted, (mask, out.past_key_values)
        return self._shared[1]

    def _window(self) -> int:
        return min(LONGEST_WINDOW, int(getattr(self.model.config, "max_position_embeddings", LONGEST_WINDOW)))

    def _room(self, config: GenerationConfig) -> int:
        return ReplyLimit(config, self.form, self).longest

    def _release(self) -> None:
        self._shared = None
        super()._release()


class _DecoderSteps(Steps):
    """Mask and cache of one batch."""

    def __init__(self, llm: DecoderLLM, prompts: Sequence[Prompt]) -> None:
        import torch

        self._llm = llm
        prefixes = tuple(dict.fromkeys(prompt.prefix for prompt in prompts))
        tails, mask = left_padded([prompt.tail for prompt in prompts], llm.device)
        if any(prefixes):
            prefix_mask, known = llm.prefixes(prefixes)
            rows = torch.tensor([prefixes.index(prompt.prefix) for prompt in prompts], device=llm.device)
            self._cache = copy.deepcopy(known)
            self._cache.batch_select_indices(rows)
            self._mask = torch.cat([prefix_mask[rows], mask], dim=1)
        else:
            self._cache, self._mask = None, mask
        self._tails = tails

    def first(self) -> "torch.Tensor":
        return self._read(self._tails)

    def next(self, tokens: NDArray[np.int64]) -> "torch.Tensor":
        import torch

        ids = torch.from_numpy(tokens.astype(np.int64))[:, None].to(self._llm.device)
        self._mask = torch.cat([self._mask, torch.ones_like(ids)], dim=1)
        return self._read(ids)

    def keep(self, rows: NDArray[np.int64]) -> None:
        import torch

        chosen = torch.from_numpy(rows).to(self._llm.device)
        self._cache.batch_select_indices(chosen)
        self._mask = self._mask[chosen]

    def _read(self, ids: "torch.Tensor") -> "torch.Tensor":
        positions = positions_of(self._mask)[:, -ids.shape[1] :]
        out = self._llm.forward(
            input_ids=ids,
            attention_mask=self._mask,
            positions=positions,
            past_key_values=self._cache,
            use_cache=True,
        )
        self._cache = out.past_key_values
        return out.logits[:, -1]


def left_padded(rows: Sequence[Sequence[int]], device: str) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Return token ids and mask, int64 (rows, longest): each row ends in the last column."""
    import torch

    longest = max(map(len, rows))
    ids = torch.zeros(len(rows), longest, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for place, row in enumerate(rows):
        if row:
            ids[place, -len(row) :] = torch.tensor(row)
            mask[place, -len(row) :] = 1
    return ids.to(device), mask.to(device)


def positions_of(mask: "torch.Tensor") -> "torch.Tensor":
    """Return the position of every token among the unmasked ones of its row; padding stands at 0."""
    return (mask.cumsum(dim=1) - 1).clamp(min=0)


def _check_length(llm: TorchLLM, tokens: int) -> None:
    if llm.context_length is not None and tokens > llm.context_length:
        raise InputError(
            f"Prompt and reply have {tokens} tokens and {llm.name} reads at most {llm.context_length}: "
            "shorten the prompt."
        )


class EncoderDecoderLLM(TorchLLM):
    """An encoder-decoder such as T5 or BART."""

    auto_class = "AutoModelForSeq2SeqLM"

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        name: str,
        limits: BatchLimits | None = None,
        form_of: FormOf = CompletionForm,
    ) -> None:
        super().__init__(model, tokenizer, name=name, limits=limits, form_of=form_of)
        # Some releases keep it with the settings of generation, others with those of the model.
        start = getattr(model.config, "decoder_start_token_id", None)
        self.start = int(model.generation_config.decoder_start_token_id if start is None else start)

    def prompt(self, asked: FewShot, question: str, *, given: bool = False) -> Prompt:
        """Return the tokens of a prompt as the encoder wants them, end token included."""
        return Prompt((), self.encoder_tokens(asked.prefix() + asked.tail(question)))

    def encoder_tokens(self, text: str) -> tuple[int, ...]:
        """Return the tokens of a text as the encoder wants them."""
        clean = text.encode("utf-8", errors="replace").decode()
        return tuple(self.tokenizer(clean, verbose=False)["input_ids"])

    def begin(self, prompts: Sequence[Prompt]) -> Steps:
        """Encode the prompts, one per row."""
        return _EncoderDecoderSteps(self, [prompt.tail for prompt in prompts])

    def beginning_log_p(self, prompts: Sequence[str], beginnings: Sequence[tuple[int, ...]]) -> NDArray[np.float64]:
        """Return the log-probability that the reply to each prompt begins with these tokens, in nats.

        float64 (prompts, beginnings). Beginnings that differ in their last token alone are read off one pass.
        """
        import torch

        tails = [self._cut(self.encoder_tokens(prompt)) for prompt in prompts]
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

    def next_log_probabilities(self, prompt: Given, reply: Sequence[int]) -> NDArray[np.float32]:
        """Return log p of every next token after the prompt and each token of the reply; see TokenLLM."""
        import torch

        tokens = self.encoder_tokens(prompt) if isinstance(prompt, str) else tuple(prompt)
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
