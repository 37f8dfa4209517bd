"""A Llama-shaped decoder in torch, for many rows that share a few prompts.

llama.cpp reads the shared few-shot prefix again for every row at every step. Here all rows of a prefix attend to it
in one product, which makes its length nearly free, and the matrix products of a step cover all rows together. The
interface is that of LlamaLLM; the weights are those of the same GGUF file, in float32.
"""

import time
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import linear, rms_norm, silu

from pipeline.generation.engines.engine import PREFIXES, WINDOW, GgufEngine, Piece
from pipeline.generation.engines.gguf_weights import Layer, Vocabulary, read_weights
from pipeline.generation.engines.row_cache import Prefix, RowCache

CELLS = 24_576
"""Total tokens of all rows, padded to the longest; 1.1 GB for SmolLM2-135M, allocated as needed."""


class StepAttention:
    """The tokens of one step in order of computation, and what each attends to."""

    def __init__(self, cache: RowCache, pieces: Sequence[Piece]) -> None:
        slots = [cache.slot(piece.sequence) for piece in pieces]
        counts = [len(piece.tokens) for piece in pieces]
        cache.extend(slots, counts)
        # Continued rows first, by slot: they are a plain slice of the cache. Prompts follow.
        order = sorted(range(len(pieces)), key=lambda number: (counts[number] > 1, slots[number]))
        self._cache = cache
        self._pieces = [pieces[number] for number in order]
        self._slots = [slots[number] for number in order]
        self._counts = [counts[number] for number in order]
        self._before = [cache.lengths[slot] for slot in self._slots]
        self._longest = max(before + count for before, count in zip(self._before, self._counts, strict=True))
        self.tokens = torch.tensor([token for piece in self._pieces for token in piece.tokens])
        self.positions = self._counted([piece.position for piece in self._pieces])
        self.outputs = self._outputs(order)
        self._own = self._counted(self._before)
        self._slot_of = torch.tensor(self._slots).repeat_interleave(torch.tensor(self._counts))
        self._prefixes = _by_prefix([cache.prefixes[slot] for slot in self._slot_of.tolist()])
        self._longest_prefix = max((prefix.length for prefix, _ in self._prefixes), default=0)
        self._blocks = self._made_blocks()

    def attend(self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Store the step's keys and values and return what each token attends to: float32 (tokens, heads * width).

        query: float32 (tokens, heads, width), scaled; key, value: (tokens, key heads, width).
        """
        keys, values = self._cache.keys[layer], self._cache.values[layer]
        keys[self._slot_of, :, self._own] = key
        values[self._slot_of, :, self._own] = value
        tokens, heads, width = query.shape
        query = query.reshape(tokens, key.shape[1], heads // key.shape[1], width)
        shared = query.new_full((*query.shape[:3], self._longest_prefix), -torch.inf)
        for prefix, chosen in self._prefixes:
            shared[chosen, :, :, : prefix.length] = _product(query[chosen], prefix.keys[layer].transpose(1, 2))
        own = torch.cat([block.scores(query, keys) for block in self._blocks])
        shared, own = (
            torch.cat([shared, own], dim=3).softmax(dim=3).split([self._longest_prefix, own.shape[3]], dim=3)
        )
        out = torch.cat([block.mixed(own, values) for block in self._blocks])
        for prefix, chosen in self._prefixes:
            out[chosen] += _product(shared[chosen, :, :, : prefix.length], prefix.values[layer])
        return out.reshape(tokens, heads * width)

    def finish(self) -> None:
        """Add this step's tokens to the lengths of their rows."""
        for slot, before, count in zip(self._slots, self._before, self._counts, strict=True):
            self._cache.lengths[slot] = before + count

    def _counted(self, starts: Sequence[int]) -> torch.Tensor:
        """Return start, start + 1, ... of every piece, one number per token."""
        return torch.tensor(
            [start + step for start, count in zip(starts, self._counts, strict=True) for step in range(count)]
        )

    def _outputs(self, order: Sequence[int]) -> torch.Tensor:
        """Return the places of the tokens whose logits are wanted, in the order in which the pieces came."""
        ends = dict(zip(order, accumulate(self._counts), strict=True))
        wanted = {
            number: min(piece.outputs, len(piece.tokens)) for number, piece in zip(order, self._pieces, strict=True)
        }
        places = [place for number in sorted(order) for place in range(ends[number] - wanted[number], ends[number])]
        return torch.tensor(places, dtype=torch.long)

    def _made_blocks(self) -> list["_Block"]:
        singles = sum(count == 1 for count in self._counts)
        blocks = []
        for start, end in ((0, singles), (singles, len(self._counts))):
            if start < end:
                counts = torch.tensor(self._counts[start:end])
                before = torch.tensor(self._before[start:end])
                blocks.append(
                    _Block(self._slots[start:end], counts, before, sum(self._counts[:start]), self._longest)
                )
        return blocks


class _Block:
    """Pieces padded to equal length, for one batched product with the cache."""

    def __init__(
        self, slots: list[int], counts: torch.Tensor, before: torch.Tensor, start: int, longest: int
    ) -> None:
        steps = torch.arange(int(counts.max()))
        self._longest = longest
        self._is_token = steps < counts[:, None]  # (pieces, steps)
        self._token = start + ((counts.cumsum(0) - counts)[:, None] + steps).clamp_max(int(counts.sum()) - 1)
        # Slots in use are the first ones: continued rows are nearly always a slice, which copies nothing.
        self._slots = slice(len(slots)) if slots == list(range(len(slots))) else torch.tensor(slots)
        seen = torch.arange(longest) <= (before[:, None] + steps)[:, :, None]
        self._mask = torch.zeros(seen.shape).masked_fill_(~seen, -torch.inf)[:, None, :, None]

    def scores(self, query: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """Return scores (tokens, key heads, queries, longest) of the block's tokens against their rows."""
        product = self._product(query, keys[self._slots, :, : self._longest].transpose(2, 3))
        return (product + self._mask).transpose(1, 2)[self._is_token]

    def mixed(self, weight: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Return the weighted values (tokens, key heads, queries, width)."""
        return self._product(weight, values[self._slots, :, : self._longest]).transpose(1, 2)[self._is_token]

    def _product(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """Multiply (tokens, key heads, queries, n), padded, by (pieces, key heads, n, m)."""
        padded = left[self._token].transpose(1, 2)
        pieces, heads, steps, queries, _ = padded.shape
        return (padded.flatten(2, 3) @ right).view(pieces, heads, steps, queries, right.shape[3])


def _product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Multiply (tokens, key heads, queries, n) by one (key heads, n, m) for all tokens at once."""
    tokens, heads, queries, _ = left.shape
    return (left.transpose(0, 1).flatten(1, 2) @ right).view(heads, tokens, queries, -1).transpose(0, 1)


def _by_prefix(prefixes: Sequence[Prefix | None]) -> list[tuple[Prefix, torch.Tensor]]:
    """Return each prefix with the indices of the tokens that follow it, int64 (tokens,)."""
    members: dict[int, tuple[Prefix, list[int]]] = {}
    for token, prefix in enumerate(prefixes):
        if prefix is not None:
            members.setdefault(id(prefix), (prefix, []))[1].append(token)
    return [(prefix, torch.tensor(tokens)) for prefix, tokens in members.values()]


class TorchLlama(GgufEngine):
    """A GGUF file in torch on the CPU."""

    kind = "torch, float32"
    rows = 124
    """Half as many are a tenth slower; twice as many are no faster."""
    tokens_a_call = 1024
    """Enough for products near their best rate; logits for all of them would take 200 MB."""

    def __init__(self, path: Path, *, name: str, threads: int | None = None, cells: int = CELLS) -> None:
        super().__init__(path, name=name, cells=cells, threads=threads)
        self._weights = read_weights(path)
        self._vocabulary = Vocabulary.of_file(path)
        self.vocabulary, self.start = self._vocabulary.size, self._vocabulary.start
        self.ends, self.own_ends = self._vocabulary.ends, self._vocabulary.own_ends
        self.tokenize, self.detokenize = self._vocabulary.tokenize, self._vocabulary.detokenize
        shape = self._weights.shape
        self.window = min(WINDOW, shape.window, cells)
        self._cache = RowCache(layers=shape.layers, heads=shape.key_heads, width=shape.width, cells=cells)
        self._prefix_cells: dict[int, Prefix] = {}
        self._turns = _rotations(self.window, shape.width, shape.rotation_base)
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
    def _fill_prefix(self, sequence: int, tokens: tuple[int, ...]) -> None:
        shape = self._weights.shape
        alone = RowCache(layers=shape.layers, heads=shape.key_heads, width=shape.width, cells=self.cells)
        step = StepAttention(alone, [Piece(0, 0, tokens, outputs=0)])
        self._hidden(step)
        kept = (cache[:, 0, :, : len(tokens)].clone() for cache in (alone.keys, alone.values))
        self._prefix_cells[sequence] = Prefix(*kept)


def _rotations(positions: int, width: int, base: float) -> torch.Tensor:
    """Return the rotation of each pair of a head's values at each position, complex64 (positions, width / 2)."""
    speeds = base ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angles = torch.arange(positions, dtype=torch.float64)[:, None] * speeds
    return torch.polar(torch.ones_like(angles), angles).to(torch.complex64)


def _rotated(heads: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Rotate adjacent pairs of values, which is llama.cpp's layout; heads: float32 (tokens, heads, width)."""
    pairs = torch.view_as_complex(heads.reshape(*heads.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * turns).flatten(-2)
