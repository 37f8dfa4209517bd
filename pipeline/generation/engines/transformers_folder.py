"""A transformers folder as it comes: model and tokenizer, loaded safely, and what its tokens mean."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.config import Precision
from pipeline.encoder_folders import check_loading, check_tokenizer

LONGEST_WINDOW: Final = 4096
"""Tokens of prompt and reply that are worth their memory here, whatever a model allows."""


def load(folder: Path, auto_class: str, device: str, precision: Precision = "auto") -> tuple[Any, Any]:
    """Return model and tokenizer of a folder: nothing from the network, no code of its own, no pickle.

    The weights are float32 on a CPU, as bfloat16 products are killed on some that announce them; on a GPU they have
    the precision that is asked for, by default bf16.
    """
    import torch
    import transformers

    names = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    dtype = torch.float32 if device == "cpu" else names.get(precision, torch.bfloat16)
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **local)
    model, info = getattr(transformers, auto_class).from_pretrained(
        folder, output_loading_info=True, use_safetensors=True, dtype=dtype, **local
    )
    check_loading(model, info, folder)
    check_tokenizer(tokenizer, folder)
    return model.to(device).eval(), tokenizer


class FolderWords:
    """The tokens of a folder; see decoder.Words."""

    def __init__(self, tokenizer: Any, model: Any) -> None:
        self.tokenizer = tokenizer
        self.size = int(model.get_output_embeddings().weight.shape[0])
        self.start = start_tokens(tokenizer)
        self._ends = end_tokens(model)

    @cached_property
    def own_ends(self) -> NDArray[np.bool_]:
        """Which tokens are the model's own end tokens."""
        return np.isin(np.arange(self.size), list(self._ends))

    @cached_property
    def ends(self) -> NDArray[np.bool_]:
        """Which tokens end a reply of one line."""
        known = min(self.size, len(self.tokenizer))  # a matrix may have more rows than there are tokens
        ends = self.own_ends.copy()
        ends[:known] |= ["\n" in text for text in self.tokenizer.batch_decode([[token] for token in range(known)])]
        return ends

    def tokenize(self, text: str, *, marked: bool = False) -> list[int]:
        """Return the tokens of a text, without any that start or end a sequence."""
        return tokens_of(self.tokenizer, text, marked=marked)

    def detokenize(self, tokens: Sequence[int], *, marked: bool = False) -> str:
        """Return the text of tokens; marked: special tokens are kept."""
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=not marked))

    def close(self) -> None:
        """Nothing to free."""


def tokens_of(tokenizer: Any, text: str, *, marked: bool) -> list[int]:
    """Return the tokens of a text, without any that start or end a sequence; see forms.Spelling."""
    clean = text.encode("utf-8", errors="replace").decode()
    plainly = {} if marked else {"split_special_tokens": True}
    return list(tokenizer(clean, add_special_tokens=False, verbose=False, **plainly)["input_ids"])


def start_tokens(tokenizer: Any) -> tuple[int, ...]:
    """Return the token that this model's texts begin with, if its tokenizer puts one there."""
    start = tokenizer.bos_token_id
    first = tokenizer("a")["input_ids"][:1]
    return (start,) if start is not None and first == [start] else ()


def end_tokens(model: Any) -> frozenset[int]:
    """Return the tokens that end a reply, as the settings of generation or else of the model name them."""
    named = model.generation_config.eos_token_id
    if named is None:
        named = model.config.eos_token_id
    return frozenset(named if isinstance(named, list | tuple) else [] if named is None else [named])
