"""The weights of a GGUF file as float32 tensors, for the engine that computes in torch, and its vocabulary.

Only plain Llama-shaped decoders (SmolLM2, Llama 1 and 2, TinyLlama) are accepted; a file that needs anything else is
rejected, and no weight is ever ignored silently.
"""

import ctypes
import logging
import os
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from numpy.typing import NDArray

from pipeline.generation.engines.decoder import Layer, Prepare, Shape, Weights, rotations
from pipeline.generation.engines.engine import WINDOW
from pipeline.records import WeightsError

_LAYER_PARTS = (
    *("attn_norm", "attn_q", "attn_k", "attn_v", "attn_output"),
    *("ffn_norm", "ffn_gate", "ffn_up", "ffn_down"),
)


def read_weights(path: Path, prepare: Prepare) -> Weights:
    """Dequantise a GGUF file of a Llama-shaped decoder; WeightsError if it is damaged or of another architecture.

    prepare: what is done to each layer.
    """
    try:
        reader = GGUFReader(path)
        setting = _settings(reader)
        layers = int(setting("block_count"))
        tensors = {tensor.name: tensor for tensor in reader.tensors}
        _check_names(set(tensors), layers)
        return _weights(setting, layers, {name: _float32(tensor) for name, tensor in tensors.items()}, prepare)
    except (ValueError, KeyError, IndexError, TypeError, OSError, NotImplementedError) as error:
        raise WeightsError(f"The weights {path} cannot be computed in torch: {error}.") from error


def _settings(reader: GGUFReader) -> Callable[..., Any]:
    """Return what looks up a setting of the model; ValueError for another architecture."""
    architecture = reader.fields["general.architecture"].contents()
    if architecture != "llama":
        raise ValueError(f"architecture {architecture}, not llama")
    scaled = [name for name in reader.fields if ".rope.scaling." in name or ".expert_count" in name]
    if scaled:
        raise ValueError(f"the file sets {scaled[0]}")

    def setting(name: str, default: Any = None) -> Any:
        field = reader.fields.get(f"llama.{name}")
        if field is None and default is None:
            raise KeyError(f"llama.{name}")
        return default if field is None else field.contents()

    return setting


def _shape(setting: Callable[..., Any]) -> Shape:
    heads = int(setting("attention.head_count"))
    width = int(setting("embedding_length")) // heads
    if int(setting("rope.dimension_count", width)) != width:
        raise ValueError("only a part of each head is rotated")
    return Shape(
        heads=heads,
        key_heads=int(setting("attention.head_count_kv", heads)),
        width=width,
        window=min(WINDOW, int(setting("context_length"))),
        epsilon=float(setting("attention.layer_norm_rms_epsilon")),
        query_scale=width**-0.5,
    )


def _check_names(found: set[str], layers: int) -> None:
    needed = {"token_embd.weight", "output_norm.weight"}
    needed |= {f"blk.{layer}.{part}.weight" for layer in range(layers) for part in _LAYER_PARTS}
    unknown = sorted(found - needed - {"output.weight"})
    if missing := sorted(needed - found):
        raise ValueError(f"{missing[0]} is missing")
    if unknown:
        raise ValueError(f"it holds {unknown[0]}, which a plain Llama does not have")


def _float32(tensor: Any) -> torch.Tensor:
    return torch.from_numpy(np.array(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32, copy=True))


def _weights(setting: Callable[..., Any], layers: int, tensors: dict[str, torch.Tensor], prepare: Prepare) -> Weights:
    embedding, shape = tensors["token_embd.weight"], _shape(setting)
    speeds = float(setting("rope.freq_base", 10_000.0)) ** (
        -torch.arange(0, shape.width, 2, dtype=torch.float64) / shape.width
    )
    return Weights(
        shape=shape,
        embedding=embedding,
        layers=tuple(prepare(_layer(tensors, f"blk.{layer}.")) for layer in range(layers)),
        norm=tensors["output_norm.weight"],
        head=tensors.get("output.weight", embedding),
        turns=(rotations(speeds, shape.window),),
    )


def _layer(tensors: dict[str, torch.Tensor], where: str) -> Layer:
    def stacked(*parts: str) -> torch.Tensor:
        return torch.cat([tensors.pop(f"{where}{part}.weight") for part in parts])

    return Layer(
        attention_norm=tensors[f"{where}attn_norm.weight"],
        query_key_value=stacked("attn_q", "attn_k", "attn_v"),
        attention_out=tensors.pop(f"{where}attn_output.weight"),
        feed_norm=tensors[f"{where}ffn_norm.weight"],
        gate_up=stacked("ffn_gate", "ffn_up"),
        down=tensors.pop(f"{where}ffn_down.weight"),
    )


class TokenizeError(Exception):
    """llama.cpp needs more tokens for a text than it can have."""


class Vocabulary:
    """Tokens and their texts. Borrows the given model; `of_file` loads only the tokens and owns them."""

    def __init__(self, model: ctypes.c_void_p, *, owned: bool = False) -> None:
        self._model: ctypes.c_void_p | None = model if owned else None
        self._vocab = llama_cpp.llama_model_get_vocab(model)
        self.size: int = llama_cpp.llama_vocab_n_tokens(self._vocab)
        begin = llama_cpp.llama_vocab_bos(self._vocab)
        self.start: tuple[int, ...] = (begin,) if llama_cpp.llama_vocab_get_add_bos(self._vocab) else ()
        """Tokens that texts of this model begin with."""
        source = llama_cpp.llama_model_chat_template(model, None)
        self.chat_template: str = source.decode("utf-8", errors="replace") if source else ""
        """The template in the file; empty for none."""

    @cached_property
    def own_ends(self) -> NDArray[np.bool_]:
        """Which tokens are the model's own end tokens."""
        return np.array([llama_cpp.llama_vocab_is_eog(self._vocab, token) for token in range(self.size)])

    @cached_property
    def ends(self) -> NDArray[np.bool_]:
        """Which tokens end a reply of one line: the model's own end tokens and all that hold a line break."""
        return self.own_ends | np.array([b"\n" in self._piece(token) for token in range(self.size)])

    @classmethod
    def of_file(cls, path: Path) -> "Vocabulary":
        """Read the tokens of a GGUF file without its weights; WeightsError if llama.cpp cannot."""
        logging.getLogger("llama-cpp-python").setLevel(logging.CRITICAL)  # or it prints every line
        settings = llama_cpp.llama_model_default_params()
        settings.vocab_only = True
        model = llama_cpp.llama_model_load_from_file(os.fsencode(path), settings)
        if not model:
            raise WeightsError(f"llama.cpp cannot read the tokens of {path}: the file is damaged.")
        return cls(model, owned=True)

    def names(self) -> dict[str, str]:
        """Return the texts of the tokens that chat templates name: bos_token and so on."""
        tokens = {
            "bos_token": llama_cpp.llama_vocab_bos(self._vocab),
            "eos_token": llama_cpp.llama_vocab_eos(self._vocab),
            "pad_token": llama_cpp.llama_vocab_pad(self._vocab),
        }
        return {
            name: llama_cpp.llama_vocab_get_text(self._vocab, token).decode("utf-8", errors="replace")
            for name, token in tokens.items()
            if token >= 0
        }

    def tokenize(self, text: str, *, marked: bool = False) -> list[int]:
        """Return the tokens of a text; special tokens spelt out in it are plain text unless `marked`."""
        data = text.encode("utf-8", errors="replace")
        room = len(data) + 8  # every token stands for at least one byte
        tokens = (llama_cpp.llama_token * room)()
        count = llama_cpp.llama_tokenize(self._vocab, data, len(data), tokens, room, False, marked)
        if count < 0:
            raise TokenizeError(f"tokenizing needs {-count} tokens where {room} were expected")
        return list(tokens[:count])

    def detokenize(self, tokens: Sequence[int], *, marked: bool = False) -> str:
        """Return the text of tokens; bytes of a cut character become U+FFFD. marked: special tokens are kept."""
        return b"".join(self._piece(token, marked=marked) for token in tokens).decode("utf-8", errors="replace")

    def close(self) -> None:
        """Free the tokens if they were loaded here; calling it twice is harmless."""
        if self._model is not None:
            llama_cpp.llama_model_free(self._model)
            self._model = None

    def _piece(self, token: int, *, marked: bool = False) -> bytes:
        buffer = ctypes.create_string_buffer(256)  # longer than any token; not closed by a NUL, hence the length
        length = llama_cpp.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, marked)
        return buffer.raw[: max(length, 0)]
