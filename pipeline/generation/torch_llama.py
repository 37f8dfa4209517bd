"""A Llama-shaped decoder computed in torch, for many rows behind a few shared prompts.

llama.cpp reads the shared few-shot prefix anew for every row at every step. Here all rows behind a prefix attend to
it in one product, so its length costs next to nothing, and the matrix products of a step see all rows together. The
surface is that of LlamaLLM; the weights are those of the same GGUF file, in float32.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import linear, rms_norm, silu

from pipeline.errors import WeightsError
from pipeline.generation.gguf_weights import Layer, read_weights
from pipeline.generation.llama import PREFIXES, WINDOW, Piece, check_gguf
from pipeline.generation.row_cache import Prefix, RowCache
from pipeline.generation.step_attention import StepAttention
from pipeline.generation.threads import ThreadChoice
from pipeline.generation.vocabulary import Vocabulary

CELLS = 24_576
"""Tokens that rows may hold together, padded to the longest; 1.1 GB for SmolLM2-135M, taken as needed."""


class TorchLlama:
    """A GGUF file in torch on the CPU. Not thread-safe: one call at a time."""

    rows = 124
    """Half as many are a tenth slower, twice as many no faster."""
    tokens_a_call = 1024
    """Enough for products near their best rate; logits for all of them would take 200 MB."""

    def __init__(self, path: Path, *, name: str, threads: int | None = None, cells: int = CELLS) -> None:
        check_gguf(path)
        self.name = name
        self.kind = "torch, float32"
        self.path = path
        self.cells = cells
        self._weights = read_weights(path)
        self._vocabulary = Vocabulary.of_file(path)
        self.vocabulary = self._vocabulary.size
        self.ends = self._vocabulary.ends
        self.tokenize, self.detokenize = self._vocabulary.tokenize, self._vocabulary.detokenize
        self._choice = ThreadChoice(threads or len(os.sched_getaffinity(0)))
        shape = self._weights.shape
        self.window = min(WINDOW, shape.window, cells)
        self._cache = RowCache(layers=shape.layers, heads=shape.key_heads, width=shape.width, cells=cells)
        self._prefixes: dict[tuple[int, ...], int] = {}
        self._prefix_cells: dict[int, Prefix] = {}
        self._turns = _rotations(self.window, shape.width, shape.rotation_base)
        self._check()

    def prefix(self, tokens: Sequence[int]) -> int:
        """Return the sequence that holds these shared tokens, computing them the first time."""
        key = tuple(tokens)
        if key not in self._prefixes:
            if len(self._prefixes) == PREFIXES:
                oldest, sequence = next(iter(self._prefixes.items()))
                del self._prefixes[oldest]
            else:
                sequence = len(self._prefixes)
            self._prefix_cells[sequence] = self._computed_prefix(key)
            self._prefixes[key] = sequence
        return self._prefixes[key]

    @property
    def prefix_cells(self) -> int:
        """Prefixes take none of the cells of rows here."""
        return 0

    def share(self, source: int, target: int) -> None:
        """Put a target row behind a prefix, or give it all that another row has."""
        if source < PREFIXES:
            self._cache.open(target, self._prefix_cells[source])
        else:
            self._cache.copy(source, target)

    def forget(self, sequence: int) -> None:
        """Free a row."""
        self._cache.close(sequence)

    @torch.no_grad()
    def decode(self, pieces: Sequence[Piece]) -> NDArray[np.float32]:
        """Append pieces to their rows and return float32 (outputs, vocabulary) in the order of the pieces.

        Raises CacheFullError when there is no room; nothing was computed then.
        """
        threads = self._choice.next()
        torch.set_num_threads(threads)
        started = time.perf_counter()
        step = StepAttention(self._cache, pieces)
        hidden = self._hidden(step)
        step.finish()
        logits = linear(hidden[step.outputs], self._weights.head).numpy()
        self._choice.record(threads, step.tokens.numel(), time.perf_counter() - started)
        return logits

    def close(self) -> None:
        """Free the tokens; the weights go with the object."""
        self._vocabulary.close()

    def __enter__(self) -> "TorchLlama":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _hidden(self, step: StepAttention) -> torch.Tensor:
        """Run all layers over the tokens of a step; returns float32 (tokens, hidden), normalised."""
        weights = self._weights
        hidden = weights.embedding[step.tokens]
        turns = self._turns[step.positions][:, None, :]
        for number, layer in enumerate(weights.layers):
            hidden = hidden + self._attended(step, number, layer, hidden, turns)
            gate, up = linear(self._normed(hidden, layer.feed_norm), layer.gate_up).chunk(2, dim=1)
            hidden = hidden + linear(silu(gate).mul_(up), layer.down)
        return self._normed(hidden, weights.norm)

    def _attended(
        self, step: StepAttention, number: int, layer: Layer, hidden: torch.Tensor, turns: torch.Tensor
    ) -> torch.Tensor:
        shape = self._weights.shape
        together = linear(self._normed(hidden, layer.attention_norm), layer.query_key_value)
        heads = together.view(len(hidden), shape.heads + 2 * shape.key_heads, shape.width)
        query, key, value = heads.split([shape.heads, shape.key_heads, shape.key_heads], dim=1)
        query = _rotated(query, turns) * shape.width**-0.5
        return linear(step.attend(number, query, _rotated(key, turns), value), layer.attention_out)

    def _normed(self, hidden: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return rms_norm(hidden, (hidden.shape[1],), scale, self._weights.shape.epsilon)

    @torch.no_grad()
    def _computed_prefix(self, tokens: Sequence[int]) -> Prefix:
        shape = self._weights.shape
        alone = RowCache(layers=shape.layers, heads=shape.key_heads, width=shape.width, cells=self.cells)
        step = StepAttention(alone, [Piece(0, 0, tokens, outputs=0)])
        self._hidden(step)
        return Prefix(*(cache[:, 0, :, : len(tokens)].clone() for cache in (alone.keys, alone.values)))

    def _check(self) -> None:
        """Compute one token: weights damaged beyond the header show as logits that are not finite."""
        logits = self.decode([Piece(PREFIXES, 0, [0])])
        self.forget(PREFIXES)
        if not np.isfinite(logits).all() or np.ptp(logits) == 0:
            self.close()
            raise WeightsError(f"The weights {self.path} are damaged: the model's answers are not finite numbers.")


def _rotations(positions: int, width: int, base: float) -> torch.Tensor:
    """Return complex64 (positions, width / 2): the turn of each pair of numbers of a head at each position."""
    speeds = base ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angles = torch.arange(positions, dtype=torch.float64)[:, None] * speeds
    return torch.polar(torch.ones_like(angles), angles).to(torch.complex64)


def _rotated(heads: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Turn neighbouring pairs of numbers, as llama.cpp lays them out; heads (tokens, heads, width)."""
    pairs = torch.view_as_complex(heads.reshape(*heads.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * turns).flatten(-2)
