"""A language model that can be followed by hand: its logits are a fixed function of the tokens seen so far.

It keeps sequences the way the real context does (cells shared between sequences, a limit on them), so that the
scheduler is tested exactly, without the rounding of a real model.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from pipeline.generation.engines.engine import CacheFullError, DecodeError, Piece

VOCABULARY = 11
END = 0


def logits_after(history: Sequence[int]) -> np.ndarray:
    """Return logits for the token after this history."""
    rng = np.random.default_rng(list(history))
    row = rng.normal(0, 2, VOCABULARY).astype(np.float32)
    row[END] += 0.2 * len(history) - 3  # replies end sooner or later
    return row


class ToyLLM:
    """Stands in for LlamaLLM; `cells` is what it says it has, `real_cells` what it has."""

    window = 64
    sequences = 256
    vocabulary = VOCABULARY

    def __init__(
        self, cells: int = 4096, real_cells: int | None = None, broken_calls: Sequence[int] = (), ahead: int = 1
    ) -> None:
        self.ahead = ahead
        self.cells = cells
        self._real_cells = real_cells or cells
        self._broken_calls = set(broken_calls)
        self._sequences: dict[int, list[tuple[int, int]]] = {}
        self._prefixes: dict[tuple[int, ...], int] = {}
        self._next_cell = 0
        self.calls = 0
        self.rows_per_call: list[int] = []
        self.ends = np.array([token == END for token in range(VOCABULARY)])

    @property
    def prefix_cells(self) -> int:
        return sum(map(len, self._prefixes))

    def prefix(self, tokens: Sequence[int]) -> int:
        key = tuple(tokens)
        if key not in self._prefixes:
            self._prefixes[key] = len(self._prefixes)
            self._append(self._prefixes[key], key)
        return self._prefixes[key]

    def share(self, source: int, target: int) -> None:
        assert not self._sequences.get(target), "a row must be empty before it takes over a prompt"
        self._sequences[target] = list(self._sequences[source])

    def forget(self, sequence: int) -> None:
        self._sequences.pop(sequence, None)

    def decode(self, pieces: Sequence[Piece]) -> np.ndarray:
        self.calls += 1
        if self.calls in self._broken_calls:
            raise DecodeError("scripted")
        new = sum(len(piece.tokens) for piece in pieces)
        if self.used_cells() + new > self._real_cells:
            raise CacheFullError("toy")
        self.rows_per_call.append(len(pieces))
        rows = []
        for piece in pieces:
            assert piece.position == len(self._sequences.get(piece.sequence, [])), "positions must follow each other"
            self._append(piece.sequence, piece.tokens)
            rows.append(logits_after([token for _, token in self._sequences[piece.sequence]]))
        return np.stack(rows)

    def logits(self, pieces: Sequence[Piece], tokens: torch.Tensor | None = None) -> torch.Tensor:
        if tokens is not None:
            pieces = [replace(piece, tokens=[token]) for piece, token in zip(pieces, tokens.tolist(), strict=True)]
        return torch.from_numpy(self.decode(pieces))

    def used_cells(self) -> int:
        return len({cell for cells in self._sequences.values() for cell, _ in cells})

    def open_sequences(self) -> int:
        return len(self._sequences)

    def _append(self, sequence: int, tokens: Sequence[int]) -> None:
        for token in tokens:
            self._sequences.setdefault(sequence, []).append((self._next_cell, token))
            self._next_cell += 1
