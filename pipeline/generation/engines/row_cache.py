"""Keys and values of many rows that share a few prompt prefixes.

A prefix is stored once for all rows. A row's own tokens are in a slot; the slots in use are always the first ones,
without gaps, and one batched product over a plain slice of the cache serves all rows. The last cell of every slot is
never read: a step of fixed shape writes there what belongs to no row.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pipeline.generation.engines.engine import CacheFullError

_STEP = 32
"""Slots and tokens are allocated in multiples of this."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """Keys and values (layers, heads, tokens, width) of a shared prompt."""

    keys: torch.Tensor
    values: torch.Tensor

    @property
    def length(self) -> int:
        """Number of tokens."""
        return self.keys.shape[2]


@dataclass(frozen=True, slots=True)
class PrefixStack:
    """Several prefixes side by side, (layers, prefixes, heads, tokens, width), padded to the longest."""

    keys: torch.Tensor
    values: torch.Tensor
    lengths: tuple[int, ...]


class RowCache:
    """Keys and values of rows, (layers, slots, heads, tokens, width); any row may follow a prefix."""

    def __init__(self, *, layers: int, heads: int, width: int, cells: int, like: torch.Tensor) -> None:
        """like: a tensor whose device and number format the keys and values take."""
        self._cells = cells
        self.keys, self.values = (_zeros(like, layers, _STEP, heads, 2 * _STEP, width) for _ in range(2))
        self.allocations = 1  # how often keys and values got new memory
        self.lengths: list[int] = []  # own tokens by slot
        self.prefixes: list[Prefix | None] = []  # by slot
        self._slots: dict[int, int] = {}  # by sequence
        self._sequences: list[int] = []  # by slot
        self._stacked: tuple[tuple[Prefix, ...], PrefixStack | None] = (), None

    @property
    def spill(self) -> int:
        """The cell of every slot that is never read."""
        return self.keys.shape[3] - 1

    def slot(self, sequence: int) -> int:
        """Return the slot of a sequence, opening one without a prefix for a new sequence."""
        if sequence not in self._slots:
            self.open(sequence, None)
        return self._slots[sequence]

    def open(self, sequence: int, prefix: Prefix | None) -> None:
        """Give a sequence an empty slot after a prefix."""
        self.close(sequence)
        self._slots[sequence] = len(self._sequences)
        self._sequences.append(sequence)
        self.lengths.append(0)
        self.prefixes.append(prefix)

    def copy(self, source: int, target: int) -> None:
        """Copy the content of one sequence to another."""
        self.open(target, self.prefixes[self._slots[source]])
        # Rows are opened between two steps, where no CacheFullError may occur; `extend` has reserved the room.
        self._resize(len(self._sequences), 0)
        self._move(self._slots[source], self._slots[target])

    def close(self, sequence: int) -> None:
        """Free the slot of a sequence, if any, and move the last slot into it."""
        slot = self._slots.pop(sequence, None)
        if slot is None:
            return
        last = len(self._sequences) - 1
        if slot != last:
            self.prefixes[slot] = self.prefixes[last]
            self._move(last, slot)
            self._sequences[slot] = self._sequences[last]
            self._slots[self._sequences[slot]] = slot
        for column in (self._sequences, self.lengths, self.prefixes):
            column.pop()

    def extend(self, slots: Sequence[int], counts: Sequence[int], *, opened: int) -> None:
        """Make room for `counts` more tokens in these slots; CacheFullError if there is none.

        opened: how many rows may be copied to others after the step.
        """
        grown = max(self.lengths[slot] + count for slot, count in zip(slots, counts, strict=True))
        longest = max([grown, *self.lengths])
        if len(self._sequences) * longest > self._cells:
            raise CacheFullError(
                f"{len(self._sequences)} rows of {longest} tokens need more than {self._cells} cells"
            )
        self._resize(len(self._sequences) + opened, longest)

    def stacked(self, prefixes: Sequence[Prefix]) -> PrefixStack:
        """Return prefixes side by side; those of the last call are kept, as most steps ask for the same."""
        known, stack = self._stacked
        if stack is None or len(known) != len(prefixes) or any(map(_differ, known, prefixes)):
            longest = max(prefix.length for prefix in prefixes)
            stack = PrefixStack(
                torch.stack([_padded(prefix.keys, longest) for prefix in prefixes], dim=1),
                torch.stack([_padded(prefix.values, longest) for prefix in prefixes], dim=1),
                tuple(prefix.length for prefix in prefixes),
            )
            self._stacked = tuple(prefixes), stack
        return stack

    def _move(self, source: int, target: int) -> None:
        length = self.lengths[source]
        for cache in (self.keys, self.values):
            cache[:, target, :, :length] = cache[:, source, :, :length]
        self.lengths[target] = length

    def _resize(self, slots: int, tokens: int) -> None:
        have_slots, have_tokens = self.keys.shape[1], self.spill
        if slots <= have_slots and tokens <= have_tokens:
            return
        # Twice as much at once: every growth copies all there is.
        wide = have_slots if slots <= have_slots else max(2 * have_slots, _rounded(slots))
        long = have_tokens + 1 if tokens <= have_tokens else max(2 * have_tokens, _rounded(tokens + 1))
        if wide * long > self._cells:  # many short rows before, a few long ones now: keep no more than they need
            wide, long = _rounded(slots), _rounded(max([tokens, *self.lengths]) + 1)
        self.keys, self.values = (_resized(cache, wide, long) for cache in (self.keys, self.values))
        self.allocations += 1


def _rounded(number: int) -> int:
    return max(_STEP, -(-number // _STEP) * _STEP)


def _resized(cache: torch.Tensor, slots: int, tokens: int) -> torch.Tensor:
    layers, had_slots, heads, had_tokens, width = cache.shape
    new = _zeros(cache, layers, slots, heads, tokens, width)
    slots, tokens = min(slots, had_slots), min(tokens, had_tokens)
    new[:, :slots, :, :tokens] = cache[:, :slots, :, :tokens]
    return new


def _zeros(like: torch.Tensor, *shape: int) -> torch.Tensor:
    """Return zeros; on a CPU without touching their memory before it is needed."""
    if like.device.type != "cpu":
        return like.new_zeros(shape)
    size = math.prod(shape) * like.element_size()
    return torch.from_numpy(np.zeros(size, dtype=np.uint8)).view(like.dtype).view(shape)


def _differ(one: Prefix, other: Prefix) -> bool:
    return one is not other


def _padded(cells: torch.Tensor, length: int) -> torch.Tensor:
    return torch.nn.functional.pad(cells, (0, 0, 0, length - cells.shape[2]))
