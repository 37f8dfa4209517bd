"""Attention of one step: single tokens that continue rows, and prompts just opened, each to its prefix and to itself.

Softmax runs over a row's prefix and its own tokens together. The two products are taken apart: all tokens behind a
prefix multiply it at once, whatever row they belong to; own tokens are batched products over slots.
"""

from collections.abc import Sequence
from itertools import accumulate

import torch

from pipeline.generation.llama import Piece
from pipeline.generation.row_cache import Prefix, RowCache


class StepAttention:
    """The tokens of one step in the order of computation, and where each looks."""

    def __init__(self, cache: RowCache, pieces: Sequence[Piece]) -> None:
        slots = [cache.slot(piece.sequence) for piece in pieces]
        counts = [len(piece.tokens) for piece in pieces]
        cache.extend(slots, counts)
        # Continued rows first, by slot, then prompts: the former are a plain slice of the cache.
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
        """Let the rows keep the tokens of this step."""
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
    """Pieces padded to the longest of them, for one batched product with the cache."""

    def __init__(
        self, slots: list[int], counts: torch.Tensor, before: torch.Tensor, start: int, longest: int
    ) -> None:
        steps = torch.arange(int(counts.max()))
        self._longest = longest
        self._is_token = steps < counts[:, None]  # (pieces, steps)
        self._token = start + ((counts.cumsum(0) - counts)[:, None] + steps).clamp_max(int(counts.sum()) - 1)
        # Slots in use are the first ones, so that continued rows nearly always are a slice, which copies nothing.
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
    """Return each prefix with the tokens behind it."""
    members: dict[int, tuple[Prefix, list[int]]] = {}
    for token, prefix in enumerate(prefixes):
        if prefix is not None:
            members.setdefault(id(prefix), (prefix, []))[1].append(token)
    return [(prefix, torch.tensor(tokens)) for prefix, tokens in members.values()]
