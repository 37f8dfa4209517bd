"""One step of many rows: a token for each row in use and the prompts of new rows, as tensors of a few shapes.

What depends on data is decided on the host before the step and reaches the device in one copy; the shapes of what is
computed there follow from the plan alone, so that a step compiles as one graph. A token attends to the prompt that it
shares with other rows and to its own row. Each part has its own softmax, and the two are merged by their
log-sum-exp, as blocks are in flash attention (Dao and others, arXiv 2205.14135, section 3.1).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.generation.engines.engine import Piece
from pipeline.generation.engines.row_cache import Prefix, RowCache

Numbers = NDArray[np.int64]
_HIDDEN = -1e30
"""Added to scores that a token may not see; finite, as a sliding layer may see nothing of a prefix."""


@dataclass(frozen=True, slots=True)
class Masks:
    """What is added to the scores of each part: _HIDDEN for what a token may not see; None adds nothing."""

    rows: torch.Tensor | None
    pieces: torch.Tensor | None
    prefixes: torch.Tensor | None


class Step:
    """The tokens of a step: one for each slot in use, by slot, then those of prompts; all indices are int64.

    A slot that continues nothing has a token all the same: it is written to the spilled cell, and nobody reads what
    comes of it. So has the padding of prompts.
    """

    def __init__(self, cache: RowCache, pieces: Sequence[Piece], *, grain: int) -> None:
        """Plan a step and make room for it; numbers of tokens are padded to multiples of `grain`, for few shapes.

        Raises CacheFullError when there is no room; nothing has changed then.
        """
        self._cache, self._grain = cache, grain
        slots = np.array([cache.slot(piece.sequence) for piece in pieces])
        counts = np.array([len(piece.tokens) for piece in pieces])
        cache.extend(slots.tolist(), counts.tolist(), opened=int((counts > 1).sum()))
        before = np.array(cache.lengths)[slots]
        ends = before + counts
        self._ends = dict(zip(slots.tolist(), ends.tolist(), strict=True))
        in_use = len(cache.lengths)
        # Single tokens of a few among many slots are cheaper as short prompts.
        is_row = (counts == 1) & (2 * (counts == 1).sum() >= in_use)
        self._rows = min(self._padded(in_use), cache.keys.shape[1]) if is_row.any() else 0
        # Only padded numbers reach what is computed on the device: each new one would be a graph of its own.
        self._row_cells, self._piece_cells = (
            min(self._padded(int(ends[those].max(initial=0))), cache.spill) for those in (is_row, ~is_row)
        )
        self._farthest = self._padded(max(piece.position + len(piece.tokens) for piece in pieces))
        self.wanted = sum(min(piece.outputs, len(piece.tokens)) for piece in pieces)
        group, self._prefixes = _grouped([cache.prefixes[slot] for slot in slots])
        self._has_alone = bool((group < 0).any())
        self._stack = cache.stacked(self._prefixes) if self._prefixes else None
        parts = self._parts(pieces, slots, counts, before, is_row, group)
        packed = torch.from_numpy(np.concatenate(list(parts.values()))).to(cache.keys.device)
        there = dict(zip(parts, packed.split([len(part) for part in parts.values()]), strict=True))
        self.tokens, self.positions, self.outputs = there["tokens"], there["positions"], there["outputs"]
        self._own, self._slots, self._cells = there["own"], there["slots"], there["cells"]
        self._place, self._is_alone = there["place"], there["is_alone"].bool()
        self._piece_slots, self._piece_places = there["piece_slots"], there["piece_places"]
        self._piece_tokens = there["piece_tokens"].view(len(self._piece_slots), -1) if self._piece_cells else None
        if self._stack is not None:
            self._members = there["members"].view(len(self._prefixes), -1)
            self._stack_lengths = there["lengths"]

    def _padded(self, number: int) -> int:
        return -(-number // self._grain) * self._grain

    def _parts(
        self,
        pieces: Sequence[Piece],
        slots: Numbers,
        counts: Numbers,
        before: Numbers,
        is_row: NDArray[np.bool_],
        group: Numbers,
    ) -> dict[str, Numbers]:
        """Return the numbers that the step needs on the device, by name."""
        long = np.flatnonzero(~is_row)
        total = int(counts[long].sum())
        size = self._rows + self._padded(total)
        steps = _counted(np.zeros(len(pieces), dtype=np.int64), counts)
        # Single tokens go to the place of their slot, those of prompts behind all slots.
        first = slots.copy()
        first[long] = self._rows + np.cumsum(counts[long]) - counts[long]
        where = np.repeat(first, counts) + steps

        def placed(values: Numbers | list[int], *, rest: int = 0) -> Numbers:
            """Return one number per token of the step, from one per token of the pieces."""
            whole = np.full(size, rest)
            whole[where] = values
            return whole

        own = np.repeat(before, counts) + steps
        slot_of = placed(np.repeat(slots, counts))
        slot_of[: self._rows] = np.arange(self._rows)
        group_of = placed(np.repeat(group, counts), rest=-1)
        members, place = self._membership(group_of)
        taken = np.minimum([piece.outputs for piece in pieces], counts)
        outputs = _counted(first + counts - taken, taken)
        widest = self._padded(int(counts[long].max(initial=0)))
        in_piece = np.repeat(np.arange(len(long)) * widest, counts[long]) + _counted(0 * long, counts[long])
        piece_tokens = np.full(len(long) * widest, self._rows)
        piece_tokens[in_piece] = self._rows + np.arange(total)
        return {
            "tokens": placed([token for piece in pieces for token in piece.tokens]),
            "positions": placed(np.repeat([piece.position for piece in pieces], counts) + steps),
            "own": placed(own),
            "slots": slot_of,
            "cells": placed(own, rest=self._cache.spill),
            "place": place,
            "is_alone": (group_of < 0).astype(np.int64),
            "outputs": _filled(outputs, self._padded(len(outputs))),
            "piece_tokens": piece_tokens,
            "piece_slots": slots[long],
            "piece_places": _filled(in_piece, size - self._rows),
            "members": members,
            "lengths": np.array(self._stack.lengths if self._stack else (), dtype=np.int64),
        }

    def _membership(self, group: Numbers) -> tuple[Numbers, Numbers]:
        """Return which tokens follow each prefix, padded and flat, and where each token is among them."""
        tokens = [np.flatnonzero(group == number) for number in range(len(self._prefixes))]
        most = self._padded(max(map(len, tokens), default=0))
        place = np.zeros(len(group), dtype=np.int64)
        for number, found in enumerate(tokens):
            place[found] = number * most + np.arange(len(found))
        return np.concatenate([np.zeros(0, np.int64), *(_filled(found, most) for found in tokens)]), place

    def masks(self, sliding: int | None) -> Masks:
        """Return what hides from each token the later ones and, where layers slide, those out of reach."""
        back = sliding if sliding is not None and self._farthest > sliding else None
        rows = pieces = prefixes = None
        if self._rows:
            rows = _unseen(self._own[: self._rows, None], self._row_cells, back)
        if self._piece_tokens is not None:
            pieces = _unseen(self._own[self._piece_tokens], self._piece_cells, back)
        if self._stack is not None and (back is not None or len(set(self._stack.lengths)) > 1):
            cells = torch.arange(self._stack.keys.shape[3], device=self.tokens.device)
            hidden = (cells >= self._stack_lengths[:, None])[:, None]
            if back is not None:
                hidden = hidden | (cells <= (self.positions[self._members] - back)[:, :, None])
            prefixes = _hiding(hidden)
        return Masks(rows, pieces, prefixes)

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        *,
        masks: Masks,
        cap: float | None = None,
    ) -> torch.Tensor:
        """Store the step's keys and values and return what each token attends to: (tokens, heads * width).

        query: (tokens, heads, width), scaled; key, value: (tokens, key heads, width); cap: see decoder.
        """
        keys, values = self._cache.keys[layer], self._cache.values[layer]
        keys[self._slots, :, self._cells] = key
        values[self._slots, :, self._cells] = value
        query = query.reshape(len(query), key.shape[1], -1, key.shape[2])
        parts = []
        if self._rows:
            row = query[: self._rows, :, None]
            parts.append(_mixed(row, keys[: self._rows], values[: self._rows], self._row_cells, cap, masks.rows))
        if self._piece_tokens is not None:
            mine, its = (cells[:, :, : self._piece_cells][self._piece_slots] for cells in (keys, values))
            padded = query[self._piece_tokens].transpose(1, 2)
            found = _mixed(padded, mine, its, None, cap, masks.pieces)
            parts.append((found[0][self._piece_places], found[1][self._piece_places]))
        out, mass = (torch.cat(both) if len(both) > 1 else both[0] for both in zip(*parts, strict=True))
        if self._stack is not None:
            stack = self._stack
            followers = query[self._members].transpose(1, 2)
            found = _mixed(followers, stack.keys[layer], stack.values[layer], None, cap, masks.prefixes)
            shared, shared_mass = (part[self._place] for part in found)
            if self._has_alone:
                shared_mass = shared_mass.masked_fill(self._is_alone[:, None, None, None], _HIDDEN)
            out = torch.lerp(out, shared, torch.sigmoid(shared_mass - mass).to(out.dtype))
        return out.reshape(len(query), -1)

    def finish(self) -> None:
        """Add the tokens to the lengths of their rows."""
        for slot, end in self._ends.items():
            self._cache.lengths[slot] = end


def _mixed(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    cells: int | None,
    cap: float | None,
    mask: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the weighted values (n * steps, key heads, queries, width) and the log of the sum of exponentials.

    query: (n, key heads, steps, queries, width); keys, values: (n, key heads, at least cells, width); mask:
    (n, 1, steps or 1, 1, cells).
    """
    scores = (query.flatten(2, 3) @ keys[:, :, :cells].transpose(2, 3)).float()
    scores = scores.view(*query.shape[:4], -1)
    if cap is not None:
        scores = torch.tanh(scores / cap) * cap
    if mask is not None:
        scores.add_(mask)
    weight = scores.softmax(dim=4)
    # The largest weight is exp(largest score) / sum: one pass less than a log-sum-exp of its own.
    mass = scores.amax(dim=4, keepdim=True) - weight.amax(dim=4, keepdim=True).log()
    out = (weight.to(values.dtype).flatten(2, 3) @ values[:, :, :cells]).view(query.shape)
    return tuple(part.transpose(1, 2).flatten(0, 1) for part in (out, mass))  # type: ignore[return-value]


def _unseen(own: torch.Tensor, cells: int, back: int | None) -> torch.Tensor:
    """Hide from tokens, whose own places are (n, steps), later cells and those further back than they look."""
    cell = torch.arange(cells, device=own.device)
    hidden = cell > own[..., None]
    if back is not None:
        hidden = hidden | (cell <= own[..., None] - back)
    return _hiding(hidden)


def _hiding(hidden: torch.Tensor) -> torch.Tensor:
    """Return 0 or _HIDDEN, (n, 1, steps, 1, cells), of (n, steps, cells)."""
    return torch.zeros(hidden.shape, device=hidden.device).masked_fill(hidden, _HIDDEN)[:, None, :, None]


def _grouped(prefixes: Sequence[Prefix | None]) -> tuple[Numbers, list[Prefix]]:
    """Return the number of each row's prefix, -1 for none, and the different prefixes in a lasting order."""
    found = sorted({id(prefix): prefix for prefix in prefixes if prefix is not None}.items())
    number = {key: place for place, (key, _) in enumerate(found)}
    return np.array([number.get(id(prefix), -1) for prefix in prefixes]), [prefix for _, prefix in found]


def _counted(starts: Numbers, counts: Numbers) -> Numbers:
    """Return start, start + 1, ... of every entry, one after the other."""
    ends = np.cumsum(counts)
    return np.repeat(starts - ends + counts, counts) + np.arange(ends[-1] if len(ends) else 0)


def _filled(numbers: Numbers, size: int) -> Numbers:
    """Pad numbers with their first one, or zeros where there is none."""
    return np.concatenate([numbers, np.full(size - len(numbers), numbers[0] if len(numbers) else 0)])
