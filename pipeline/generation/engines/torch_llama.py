"""A decoder of Llama's kind in torch, for many rows that share a few prompts.

llama.cpp reads the shared few-shot prefix again for every row at every step. Here all rows of a prefix attend to it
in one product, which makes its length nearly free, and the matrix products of a step cover all rows together. The
interface is that of LlamaLLM; the weights are those of a GGUF file or of a transformers folder.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn.functional import gelu, linear, rms_norm, silu

from pipeline.generation.engines.decoder import Layer, Weights, Words
from pipeline.generation.engines.engine import (
    PREFIXES,
    SEQUENCES,
    CacheFullError,
    LocalEngine,
    Piece,
    is_out_of_memory,
)
from pipeline.generation.engines.folder_weights import read_folder
from pipeline.generation.engines.gguf_weights import Vocabulary, read_weights
from pipeline.generation.engines.row_cache import Prefix, RowCache
from pipeline.generation.engines.step_attention import StepAttention

CELLS = 24_576
"""Total tokens of all rows, padded to the longest; 1.1 GB for SmolLM2-135M, allocated as needed."""
_GPU_CELLS = 262_144
"""The same on a GPU, where a full memory halves the rows."""
_GPU_ROWS = 2048
"""Rows on a GPU: 1,024 replies under contrast; the number has not been tuned on one."""


class TorchLlama(LocalEngine):
    """A GGUF file in torch on the CPU, or a transformers folder on any device."""

    rows = 124
    """On a CPU half as many are a tenth slower; twice as many are no faster."""
    tokens_a_call = 1024
    """Enough for products near their best rate; logits for all of them would take 200 MB."""

    def __init__(
        self, path: Path, *, name: str, threads: int | None = None, cells: int = 0, device: str = "cpu"
    ) -> None:
        """cells: 0 for CELLS, more on a GPU; device: where a folder is computed, a GGUF file is on the CPU.

        Raises WeightsError for weights that are damaged or of another shape; folder_weights.computes tells before.
        """
        self.rows, is_gpu = rows_on(device), device != "cpu"
        self.sequences = max(SEQUENCES, PREFIXES + self.rows + 2)
        super().__init__(path, name=name, cells=cells or (_GPU_CELLS if is_gpu else CELLS), threads=threads)
        self._weights, self._words = _read(path, device)
        self.kind = f"torch, {str(self._weights.head.dtype).removeprefix('torch.')}"
        self.vocabulary, self.start = self._words.size, self._words.start
        self.ends, self.own_ends = self._words.ends, self._words.own_ends
        self.tokenize, self.detokenize = self._words.tokenize, self._words.detokenize
        self.window = min(self._weights.shape.window, self.cells)
        self._cache = self._new_cache()
        self._prefix_cells: dict[int, Prefix] = {}
        self._check_weights(PREFIXES)

    @property
    def prefix_cells(self) -> int:
        """Prefixes take none of the cells of rows here."""
        return 0

    def share(self, source: int, target: int) -> None:
        """Start a target row after a prefix, or copy another row into it."""
        if source < PREFIXES:
            self._cache.open(target, self._prefix_cells[source])
        else:
            self._cache.copy(source, target)

    def forget(self, sequence: int) -> None:
        """Free a row."""
        self._cache.close(sequence)

    @torch.no_grad()
    def logits(self, pieces: Sequence[Piece]) -> torch.Tensor:
        """Append pieces to their rows and return float32 (outputs, vocabulary) in the order of the pieces.

        Raises CacheFullError when there is no room; the rows are as they were then.
        """
        threads = self._choice.next()
        torch.set_num_threads(threads)
        started = time.perf_counter()
        try:
            step = StepAttention(self._cache, pieces)
            logits = self._logits(self._hidden(step)[step.outputs])
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise CacheFullError("the memory does not suffice") from error
        step.finish()
        self._choice.record(threads, step.tokens.numel(), time.perf_counter() - started)
        return logits

    def close(self) -> None:
        """Free the tokens; the weights go with the object."""
        self._words.close()

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return float32 logits (outputs, vocabulary)."""
        logits, cap = linear(hidden, self._weights.head).float(), self._weights.shape.logit_cap
        return logits if cap is None else torch.tanh(logits / cap) * cap

    def _hidden(self, step: StepAttention) -> torch.Tensor:
        """Run all layers over the tokens of a step; returns (tokens, hidden), normalised."""
        weights, shape = self._weights, self._weights.shape
        hidden = weights.embedding[step.tokens]
        if shape.embedding_scale != 1:
            hidden = hidden * shape.embedding_scale
        turns = [table[step.positions][:, None, :] for table in weights.turns]
        for number, layer in enumerate(weights.layers):
            added = self._attended(step, number, layer, hidden, turns[layer.turns])
            hidden = hidden + self._normed(added, layer.after_attention)
            normed = self._normed(hidden, layer.feed_norm)
            gate, up = linear(normed, layer.gate_up, layer.gate_up_bias).chunk(2, dim=1)
            gate = gelu(gate, approximate="tanh") if shape.has_gelu else silu(gate)
            added = linear(gate.mul_(up), layer.down, layer.down_bias)
            hidden = hidden + self._normed(added, layer.after_feed)
        return self._normed(hidden, weights.norm)

    def _attended(
        self, step: StepAttention, number: int, layer: Layer, hidden: torch.Tensor, turns: torch.Tensor
    ) -> torch.Tensor:
        shape = self._weights.shape
        normed = self._normed(hidden, layer.attention_norm)
        together = linear(normed, layer.query_key_value, layer.query_key_value_bias)
        heads = together.view(len(hidden), shape.heads + 2 * shape.key_heads, shape.width)
        query, key, value = heads.split([shape.heads, shape.key_heads, shape.key_heads], dim=1)
        query = _rotated(self._normed(query, layer.query_norm), turns) * shape.query_scale
        key = _rotated(self._normed(key, layer.key_norm), turns)
        out = step.attend(number, query, key, value, cap=shape.attention_cap, sliding=layer.sliding)
        return linear(out, layer.attention_out, layer.attention_out_bias)

    def _normed(self, values: torch.Tensor, scale: torch.Tensor | None) -> torch.Tensor:
        """Normalise the last dimension in float32; without a scale the values are returned as they are."""
        if scale is None:
            return values
        return rms_norm(values.float(), scale.shape, scale, self._weights.shape.epsilon).to(values.dtype)

    def _new_cache(self) -> RowCache:
        weights = self._weights
        return RowCache(
            layers=len(weights.layers),
            heads=weights.shape.key_heads,
            width=weights.shape.width,
            cells=self.cells,
            like=weights.embedding,
        )

    @torch.no_grad()
    def _fill_prefix(self, sequence: int, tokens: tuple[int, ...]) -> None:
        alone = self._new_cache()
        step = StepAttention(alone, [Piece(0, 0, tokens, outputs=0)])
        self._hidden(step)
        kept = (cache[:, 0, :, : len(tokens)].clone() for cache in (alone.keys, alone.values))
        self._prefix_cells[sequence] = Prefix(*kept)


def rows_on(device: str) -> int:
    """Return the number of rows with the highest throughput on a device."""
    return TorchLlama.rows if device == "cpu" else _GPU_ROWS


def _read(path: Path, device: str) -> tuple[Weights, Words]:
    return read_folder(path, device) if path.is_dir() else (read_weights(path), Vocabulary.of_file(path))


def _rotated(heads: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Rotate adjacent pairs of values, which is llama.cpp's layout; heads: (tokens, heads, width)."""
    pairs = torch.view_as_complex(heads.float().reshape(*heads.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * turns).flatten(-2).to(heads.dtype)
