"""What computes next-token logits for many rows: llama.cpp's batched context, or torch."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.generation.engines.llama import Piece


class Engine(Protocol):
    """A loaded model. The first PREFIXES sequences hold shared prompts, the others up to SEQUENCES are rows."""

    name: str
    kind: str
    """What computes and in which numbers, for people."""
    vocabulary: int
    window: int
    cells: int
    rows: int
    """Rows that are written fastest side by side."""
    tokens_a_call: int
    """Tokens that are worth computing together when texts are read rather than written."""
    ends: NDArray[np.bool_]
    """Which tokens end a reply."""

    @property
    def prefix_cells(self) -> int:
        """Cells that shared prompts take of `cells`."""
        ...

    def tokenize(self, text: str) -> list[int]:
        """Return the tokens of a text; special tokens written in the text stay plain text."""
        ...

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens."""
        ...

    def prefix(self, tokens: Sequence[int]) -> int:
        """Return the sequence that holds these shared tokens, computing them the first time."""
        ...

    def share(self, source: int, target: int) -> None:
        """Let a target row begin with all that a source sequence holds."""
        ...

    def forget(self, sequence: int) -> None:
        """Empty a row."""
        ...

    def decode(self, pieces: Sequence[Piece]) -> NDArray[np.float32]:
        """Append pieces to rows and return the wanted logits (outputs, vocabulary) in their order."""
        ...

    def close(self) -> None:
        """Free what it holds; calling it twice is harmless."""
        ...
