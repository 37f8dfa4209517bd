"""A decoder of Llama's kind in torch, for many rows that share a few prompts.

llama.cpp reads the shared few-shot prefix again for every row at every step. Here all rows of a prefix attend to it
in one product, which makes its length nearly free, and the matrix products of a step cover all rows together. The
interface is that of LlamaLLM; the weights are those of a GGUF file or of a transformers folder.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import gelu, rms_norm, silu

from pipeline.config import Precision
from pipeline.generation.engines.decoder import Layer, Prepare, Weights, Words, packed, product
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
from pipeline.generation.engines.step import Masks, Step

CELLS = 24_576
"""Total tokens of all rows, padded to the longest; 1.1 GB for SmolLM2-135M, allocated as needed."""
_GRAIN, _GPU_GRAIN = 8, 64
"""Numbers of rows, tokens and cells are padded to multiples of it."""
_GPU_AHEAD = 4
"""A GPU waits for the host at every look."""
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
        self,
        path: Path,
        *,
        name: str,
        threads: int | None = None,
        cells: int = 0,
        device: str = "cpu",
        precision: Precision = "auto",
    ) -> None:
        """cells: 0 for CELLS, more on a GPU; device: where a folder is computed, a GGUF file is on the CPU.

        precision: auto is fp32 on a CPU and bf16 on a GPU. On a CPU bf16 is that of the layers' products; attention
        and all sums are float32.

        Raises WeightsError for weights that are damaged or of another shape; folder_weights.computes tells before.
        """
        self.rows, is_gpu = rows_on(device), device != "cpu"
        self._grain, self.ahead = (_GPU_GRAIN, _GPU_AHEAD) if is_gpu else (_GRAIN, 1)
        self._rounds = precision == "bf16" and not is_gpu
        self.sequences = max(SEQUENCES, PREFIXES + self.rows + 2)
        super().__init__(path, name=name, cells=cells or (_GPU_CELLS if is_gpu else CELLS), threads=threads)
        weights, self._words = _read(path, device, precision, self._prepared)
        self._weights = replace(weights, head=packed(weights.head, self.rows))
        self.kind = f"torch, {str(self._weights.layers[0].down.dtype).removeprefix('torch.')}"
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

    @property
    def allocations(self) -> int:
        """How often keys and values got new memory so far."""
        return self._cache.allocations

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
    def logits(self, pieces: Sequence[Piece], tokens: torch.Tensor | None = None) -> torch.Tensor:
        """Append pieces to their rows and return float32 (outputs, vocabulary) in the order of the pieces.

        Raises CacheFullError when there is no room; the rows are as they were then.
        """
        threads = self._choice.next()
        torch.set_num_threads(threads)
        started = time.perf_counter()
        try:
            step = Step(self._cache, pieces, grain=self._grain)
            if tokens is not None:
                step.tokens[step.outputs[: len(tokens)]] = tokens
            logits = self._logits(step)[: step.wanted]
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise CacheFullError("the memory does not suffice") from error
        step.finish()
        self._choice.record(threads, step.tokens.numel(), time.perf_counter() - started)
        return logits

    def compile(self, **how: Any) -> None:
        """Compile the step as one graph for each of its shapes; how: see torch.compile.

        A shape takes from seconds to a minute, once per process. It has never been measured on a GPU.
        """
        torch._dynamo.config.recompile_limit = 256  # numbers of rows and tokens, padded as they are
        self._logits = torch.compile(self._logits, fullgraph=True, dynamic=False, **how)  # type: ignore[method-assign]

    def close(self) -> None:
        """Free the tokens; the weights go with the object."""
        self._words.close()

    def _logits(self, step: Step) -> torch.Tensor:
        """Return float32 logits (outputs, vocabulary), padded as the outputs are."""
        hidden = self._hidden(step)[step.outputs]
        # Logits of bfloat16 would tie: eight bits are half a nat apart where logits are large.
        with bfloat16_products() if self._rounds else nullcontext():
            logits, cap = product(hidden, self._weights.head), self._weights.shape.logit_cap
        logits = logits if cap is None else torch.tanh(logits / cap) * cap
        return logits

    def _hidden(self, step: Step) -> torch.Tensor:
        """Run all layers over the tokens of a step; returns float32 (tokens, hidden), normalised."""
        weights, shape = self._weights, self._weights.shape
        hidden = weights.embedding[step.tokens].float()
        if shape.embedding_scale != 1:
            hidden = hidden * shape.embedding_scale
        turns = [table[step.positions][:, None, :] for table in weights.turns]
        masks = {sliding: step.masks(sliding) for sliding in {layer.sliding for layer in weights.layers}}
        for number, layer in enumerate(weights.layers):
            added = self._attended(step, number, hidden, turns[layer.turns], masks[layer.sliding])
            hidden = hidden + self._normed(added, layer.after_attention)
            normed = self._normed(hidden, layer.feed_norm)
            gate, up = product(normed, layer.gate_up, layer.gate_up_bias).chunk(2, dim=1)
            gate = gelu(gate, approximate="tanh") if shape.has_gelu else silu(gate)
            added = product(gate.mul_(up), layer.down, layer.down_bias)
            hidden = hidden + self._normed(added, layer.after_feed)
        return self._normed(hidden, weights.norm)

    def _attended(
        self, step: Step, number: int, hidden: torch.Tensor, turns: torch.Tensor, masks: Masks
    ) -> torch.Tensor:
        layer, shape = self._weights.layers[number], self._weights.shape
        normed = self._normed(hidden, layer.attention_norm)
        together = product(normed, layer.query_key_value, layer.query_key_value_bias)
        heads = together.view(len(hidden), shape.heads + 2 * shape.key_heads, shape.width)
        query, key, value = heads.split([shape.heads, shape.key_heads, shape.key_heads], dim=1)
        query = _rotated(self._normed(query, layer.query_norm), turns) * shape.query_scale
        key = _rotated(self._normed(key, layer.key_norm), turns)
        query, key, value = (part.to(self._weights.embedding.dtype) for part in (query, key, value))
        out = step.attend(number, query, key, value, masks=masks, cap=shape.attention_cap)
        return product(out, layer.attention_out, layer.attention_out_bias)

    def _prepared(self, layer: Layer) -> Layer:
        return layer.for_products(torch.bfloat16 if self._rounds else None, self.rows)

    def _normed(self, values: torch.Tensor, scale: torch.Tensor | None) -> torch.Tensor:
        """Normalise the last dimension in float32; without a scale the values are returned as they are."""
        if scale is None:
            return values
        return rms_norm(values, scale.shape, scale, self._weights.shape.epsilon)

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
        step = Step(alone, [Piece(0, 0, tokens, outputs=0)], grain=self._grain)
        self._hidden(step)
        kept = (cache[:, 0, :, : len(tokens)].clone() for cache in (alone.keys, alone.values))
        self._prefix_cells[sequence] = Prefix(*kept)


def rows_on(device: str) -> int:
    """Return the number of rows with the highest throughput on a device."""
    return TorchLlama.rows if device == "cpu" else _GPU_ROWS


def _read(path: Path, device: str, precision: Precision, prepare: Prepare) -> tuple[Weights, Words]:
    if path.is_dir():
        return read_folder(path, device, precision, prepare)
    return read_weights(path, prepare), Vocabulary.of_file(path)


def _rotated(heads: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Rotate adjacent pairs of values, which is llama.cpp's layout; heads: (tokens, heads, width)."""
    pairs = torch.view_as_complex(heads.reshape(*heads.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * turns).flatten(-2)


@contextmanager
def bfloat16_products() -> Iterator[None]:
    """Let products of float32 round their factors to bfloat16; sums and results stay float32."""
    matmul: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before, matmul.fp32_precision = matmul.fp32_precision, "bf16"
    try:
        yield
    finally:
        matmul.fp32_precision = before
