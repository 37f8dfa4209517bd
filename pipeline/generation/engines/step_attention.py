"""Attention of one step: rows with a few tokens each, over the prompt that they share and over their own tokens."""

from collections.abc import Sequence
from itertools import accumulate

import torch

from pipeline.generation.engines.engine import Piece
from pipeline.generation.engines.row_cache import Prefix, RowCache


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
        self._device = cache.keys.device
        self.tokens = self._there([token for piece in self._pieces for token in piece.tokens])
        self.positions = self._counted([piece.position for piece in self._pieces])
        self.outputs = self._outputs(order)
        self._own = self._counted(self._before)
        slot_of = [slot for slot, count in zip(self._slots, self._counts, strict=True) for _ in range(count)]
        self._slot_of = self._there(slot_of)
        self._prefixes = self._by_prefix([cache.prefixes[slot] for slot in slot_of])
        self._farthest = max(piece.position + len(piece.tokens) for piece in pieces)
        self._longest_prefix = max((prefix.length for prefix, _ in self._prefixes), default=0)
        self._blocks = self._made_blocks()

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        *,
        cap: float | None = None,
        sliding: int | None = None,
    ) -> torch.Tensor:
        """Store the step's keys and values and return what each token attends to: (tokens, heads * width).

        query: (tokens, heads, width), scaled; key, value: (tokens, key heads, width); cap, sliding: see decoder.
        """
        keys, values = self._cache.keys[layer], self._cache.values[layer]
        keys[self._slot_of, :, self._own] = key
        values[self._slot_of, :, self._own] = value
        tokens, heads, width = query.shape
        query = query.reshape(tokens, key.shape[1], heads // key.shape[1], width)
        back = sliding if sliding is not None and self._farthest > sliding else None
        shared = query.new_full((*query.shape[:3], self._longest_prefix), -torch.inf, dtype=torch.float32)
        for prefix, chosen in self._prefixes:
            scores = _capped(_product(query[chosen], prefix.keys[layer].transpose(1, 2)).float(), cap)
            if back is not None:
                is_past = torch.arange(prefix.length, device=self._device) <= (self.positions[chosen] - back)[:, None]
                scores = scores.masked_fill(is_past[:, None, None], -torch.inf)
            shared[chosen, :, :, : prefix.length] = scores
        own = torch.cat([block.scores(query, keys, cap=cap, back=back) for block in self._blocks])
        weight = torch.cat([shared, own], dim=3).softmax(dim=3).to(value.dtype)
        shared, own = weight.split([self._longest_prefix, own.shape[3]], dim=3)
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
        return self._there(
            [start + step for start, count in zip(starts, self._counts, strict=True) for step in range(count)]
        )

    def _there(self, numbers: list[int]) -> torch.Tensor:
        """Return int64 numbers on the device of the cache."""
        return torch.tensor(numbers, dtype=torch.int64).to(self._device)

    def _by_prefix(self, prefixes: Sequence[Prefix | None]) -> list[tuple[Prefix, torch.Tensor]]:
        """Return each prefix with the indices of the tokens that follow it, int64 (tokens,)."""
        members: dict[int, tuple[Prefix, list[int]]] = {}
        for token, prefix in enumerate(prefixes):
            if prefix is not None:
                members.setdefault(id(prefix), (prefix, []))[1].append(token)
        return [(prefix, self._there(tokens)) for prefix, tokens in members.values()]

    def _outputs(self, order: Sequence[int]) -> torch.Tensor:
        """Return the places of the tokens whose logits are wanted, in the order in which the pieces came."""
        ends = dict(zip(order, accumulate(self._counts), strict=True))
        wanted = {
            number: min(piece.outputs, len(piece.tokens)) for number, piece in zip(order, self._pieces, strict=True)
        }
        places = [place for number in sorted(order) for place in range(ends[number] - wanted[number], ends[number])]
        return self._there(places)

    def _made_blocks(self) -> list["_Block"]:
        singles = sum(count == 1 for count in self._counts)
        blocks = []
        for start, end in ((0, singles), (singles, len(self._counts))):
            if start < end:
                counts = torch.tensor(self._counts[start:end])
                before = torch.tensor(self._before[start:end])
                first = sum(self._counts[:start])
                blocks.append(_Block(self._slots[start:end], counts, before, first, self._longest, self._device))
        return blocks


class _Block:
    """Pieces padded to equal length, for one batched product with the cache."""

    def __init__(
        self,
        slots: list[int],
        counts: torch.Tensor,
        before: torch.Tensor,
        start: int,
        longest: int,
        device: torch.device,
    ) -> None:
        steps = torch.arange(int(counts.max()))
        self._longest = longest
        is_token = steps < counts[:, None]  # (pieces, steps)
        # Without padding every step is a token, and neither way copies anything.
        self._places = None if bool(is_token.all()) else is_token.flatten().nonzero()[:, 0].to(device)
        token = start + ((counts.cumsum(0) - counts)[:, None] + steps).clamp_max(int(counts.sum()) - 1)
        self._token = token.to(device)
        # Slots in use are the first ones: continued rows are nearly always a slice, which copies nothing.
        is_slice = slots == list(range(len(slots)))
        self._slots = slice(len(slots)) if is_slice else torch.tensor(slots).to(device)
        self._last = (before[:, None] + steps)[:, :, None].to(device)  # each token's own place in its row
        self._own = torch.arange(longest, device=device)
        self._masks: dict[int | None, torch.Tensor] = {}

    def scores(self, query: torch.Tensor, keys: torch.Tensor, *, cap: float | None, back: int | None) -> torch.Tensor:
        """Return float32 scores (tokens, key heads, queries, longest) of the block's tokens against their rows."""
        product = self._product(query, keys[self._slots, :, : self._longest].transpose(2, 3)).float()
        return self._tokens(_capped(product, cap) + self._mask(back))

    def mixed(self, weight: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Return the weighted values (tokens, key heads, queries, width)."""
        return self._tokens(self._product(weight, values[self._slots, :, : self._longest]))

    def _mask(self, back: int | None) -> torch.Tensor:
        """Return what is added to scores: minus infinity for later tokens, and for those out of reach."""
        if back not in self._masks:
            seen = self._own <= self._last
            if back is not None:
                seen &= self._own > self._last - back
            mask = torch.zeros(seen.shape, device=seen.device).masked_fill_(~seen, -torch.inf)
            self._masks[back] = mask[:, None, :, None]
        return self._masks[back]

    def _tokens(self, padded: torch.Tensor) -> torch.Tensor:
        """Return (tokens, key heads, ...) of (pieces, key heads, steps, ...), without the padding."""
        rows = padded.transpose(1, 2).flatten(0, 1)
        return rows if self._places is None else rows[self._places]

    def _product(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """Multiply (tokens, key heads, queries, n), padded, by (pieces, key heads, n, m)."""
        padded = left[self._token].transpose(1, 2)
        pieces, heads, steps, queries, _ = padded.shape
        return (padded.flatten(2, 3) @ right).view(pieces, heads, steps, queries, right.shape[3])


def _product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Multiply (tokens, key heads, queries, n) by one (key heads, n, m) for all tokens at once."""
    tokens, heads, queries, _ = left.shape
    return (left.transpose(0, 1).flatten(1, 2) @ right).view(heads, tokens, queries, -1).transpose(0, 1)


def _capped(scores: torch.Tensor, cap: float | None) -> torch.Tensor:
    return scores if cap is None else torch.tanh(scores / cap) * cap
