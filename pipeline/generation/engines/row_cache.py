"""Keys and values of many rows that share a few prompt prefixes.

A prefix is stored once for all rows. A row's own tokens are in a slot; the slots in use are always the first ones,
without gaps, and one batched product over a plain slice of the cache serves all rows.
"""

from dataclasses import dataclass

import torch

from pipeline.generation.engines.engine import CacheFullError

_STEP = 32
"""Slots and tokens are allocated in multiples of this."""


@dataclass(slots=True)
class Prefix:
    """Keys and values (layers, heads, tokens, width) of a shared prompt."""

    keys: torch.Tensor
    values: torch.Tensor

    @property
    def length(self) -> int:
        """Number of tokens."""
        return self.keys.shape[2]


class RowCache:
    """Keys and values of rows, (layers, slots, heads, tokens, width); any row may follow a prefix."""

    def __init__(self, *, layers: int, heads: int, width: int, cells: int, like: torch.Tensor) -> None:
        """like: a tensor whose device and number format the keys and values take."""
        self._cells = cells
        self.keys = like.new_zeros(layers, _STEP, heads, _STEP, width)
        self.values = torch.zeros_like(self.keys)
        self.lengths: list[int] = []  # own tokens by slot
        self.prefixes: list[Prefix | None] = []  # by slot
        self._slots: dict[int, int] = {}  # by sequence
        self._sequences: list[int] = []  # by slot

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

    def extend(self, slots: list[int], counts: list[int]) -> None:
        """Make room for `counts` more tokens in these slots; CacheFullError if there is none."""
        grown = max(self.lengths[slot] + count for slot, count in zip(slots, counts, strict=True))
        longest = max([grown, *self.lengths])
        if len(self._sequences) * longest > self._cells:
            raise CacheFullError(
                f"{len(self._sequences)} rows of {longest} tokens need more than {self._cells} cells"
            )
        opened = sum(count > 1 for count in counts)  # each may be copied to another row after the step
        self._resize(len(self._sequences) + opened, longest)

    def _move(self, source: int, target: int) -> None:
        length = self.lengths[source]
        for cache in (self.keys, self.values):
            cache[:, target, :, :length] = cache[:, source, :, :length]
        self.lengths[target] = length

    def _resize(self, slots: int, tokens: int) -> None:
        have_slots, have_tokens = self.keys.shape[1], self.keys.shape[3]
        if slots <= have_slots and tokens <= have_tokens:
            return
        wide, long = max(have_slots, _rounded(slots)), max(have_tokens, _rounded(tokens))
        if wide * long > self._cells:  # many short rows before, a few long ones now: keep no more than they need
            wide, long = _rounded(slots), _rounded(max([tokens, *self.lengths]))
        self.keys, self.values = (_resized(cache, wide, long) for cache in (self.keys, self.values))


def _rounded(number: int) -> int:
    return max(_STEP, -(-number // _STEP) * _STEP)


def _resized(cache: torch.Tensor, slots: int, tokens: int) -> torch.Tensor:
    layers, had_slots, heads, had_tokens, width = cache.shape
    new = cache.new_zeros(layers, slots, heads, tokens, width)
    slots, tokens = min(slots, had_slots), min(tokens, had_tokens)
    new[:, :slots, :, :tokens] = cache[:, :slots, :, :tokens]
    return new
