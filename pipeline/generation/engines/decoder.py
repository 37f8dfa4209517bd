"""The weights of a decoder as the engine in torch computes with them, whatever file they were read from.

One shape serves Llama and its relatives: normalisation, attention with rotated positions, a gated feed-forward part.
What only some families have (biases, normalised queries and keys, sliding windows, soft caps) is optional.
"""

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import linear

_MATRICES: Final = ("query_key_value", "attention_out", "gate_up", "down")
_HAS_BLOCKS: Final = torch.backends.mkldnn.is_available() and platform.machine() in ("x86_64", "AMD64")


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a decoder, and the numbers that its formulas hold."""

    heads: int
    key_heads: int
    width: int
    """Values per head."""
    window: int
    """Longest sequence that is read, in tokens."""
    epsilon: float
    query_scale: float
    attention_cap: float | None = None
    """Scores of attention are bent by cap * tanh(score / cap)."""
    logit_cap: float | None = None
    embedding_scale: float = 1.0
    has_gelu: bool = False
    """The gate is GELU (its tanh form) in place of SiLU."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A matrix (out, in) in the blocks that products on an x86 processor read, the values unchanged."""

    blocks: torch.Tensor
    """Opaque; a type of its own because a compiler takes it for a plain tensor."""

    @property
    def dtype(self) -> torch.dtype:
        """Its number format."""
        return self.blocks.dtype


Matrix = torch.Tensor | Packed


def packed(matrix: Matrix, rows: int) -> Matrix:
    """Pack a matrix (out, in), which oneDNN otherwise lays out anew at every product.

    rows: how many rows a product usually has. Without such products on the device the matrix is returned as it is.
    """
    if isinstance(matrix, Packed) or matrix.device.type != "cpu" or not _HAS_BLOCKS:
        return matrix
    try:
        return Packed(torch.ops.mkldnn._reorder_linear_weight(matrix.contiguous(), rows))
    except RuntimeError:  # a number format that this processor does not compute by itself
        return matrix


def product(values: torch.Tensor, matrix: Matrix, bias: torch.Tensor | None = None) -> torch.Tensor:
    """Multiply values (rows, in) by a matrix (out, in) in its number format; returns float32."""
    values = values.to(matrix.dtype)
    if isinstance(matrix, torch.Tensor):
        return linear(values, matrix, bias).float()
    # What Inductor calls for frozen weights; torch has no public name for it.
    result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(values, matrix.blocks, bias, "none", [], "")
    return result.float()


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer; matrices (out, in), projections that read the same input stacked. Norms stay float32."""

    attention_norm: torch.Tensor
    query_key_value: Matrix
    attention_out: Matrix
    feed_norm: torch.Tensor
    gate_up: Matrix
    down: Matrix
    query_key_value_bias: torch.Tensor | None = None
    attention_out_bias: torch.Tensor | None = None
    gate_up_bias: torch.Tensor | None = None
    down_bias: torch.Tensor | None = None
    query_norm: torch.Tensor | None = None
    key_norm: torch.Tensor | None = None
    after_attention: torch.Tensor | None = None
    """Norm of what attention adds."""
    after_feed: torch.Tensor | None = None
    """Norm of what the feed-forward part adds."""
    sliding: int | None = None
    """How many tokens it looks back, itself included; None for all."""
    turns: int = 0
    """Which of Weights.turns it takes."""

    def for_products(self, dtype: torch.dtype | None, rows: int) -> "Layer":
        """Return the layer with its matrices and biases in a number format, None for their own, and packed.

        rows: how many rows a product usually has. Norms stay.
        """
        found = {name: getattr(self, name) for name in (*_MATRICES, *(f"{name}_bias" for name in _MATRICES))}
        changes: dict[str, Any] = {name: value.to(dtype) for name, value in found.items() if value is not None}
        return replace(self, **changes | {name: packed(changes[name], rows) for name in _MATRICES})


Prepare = Callable[[Layer], Layer]
"""What is done to a layer as soon as it is read, so that no model is in memory twice."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A whole decoder; head is the embedding itself if the file ties the two."""

    shape: Shape
    embedding: torch.Tensor
    layers: tuple[Layer, ...]
    norm: torch.Tensor
    head: Matrix
    turns: tuple[torch.Tensor, ...]
    """Rotation of each pair of a head's values at each position, complex64 (at least window, width / 2)."""


class Words(Protocol):
    """The tokens of a model and their texts."""

    size: int
    start: tuple[int, ...]
    """Tokens that texts of this model begin with."""

    @property
    def ends(self) -> NDArray[np.bool_]:
        """Which tokens end a reply of one line: the model's own end tokens and all that hold a line break."""
        ...

    @property
    def own_ends(self) -> NDArray[np.bool_]:
        """Which tokens are the model's own end tokens."""
        ...

    def tokenize(self, text: str, *, marked: bool = False) -> list[int]:
        """Return the tokens of a text; special tokens spelt out in it are plain text unless `marked`."""
        ...

    def detokenize(self, tokens: Sequence[int], *, marked: bool = False) -> str:
        """Return the text of tokens; marked: special tokens are kept."""
        ...

    def close(self) -> None:
        """Free the tokens."""
        ...


def rotations(speeds: torch.Tensor, positions: int, *, scale: float = 1.0) -> torch.Tensor:
    """Return the rotation of each pair at each position, complex64 (positions, pairs).

    speeds: radians per position, float (pairs,); angles are computed in its number format.
    """
    angles = torch.arange(positions, dtype=speeds.dtype)[:, None] * speeds
    return torch.polar(torch.full_like(angles, scale), angles).to(torch.complex64)


def adjacent(rows: torch.Tensor, width: int) -> torch.Tensor:
    """Order the rows of queries or keys, (heads * width, ...), so that the two values of a pair are neighbours.

    transformers turns value i of a head with value i + width / 2, llama.cpp and this engine with the next one.
    """
    halves = rows.unflatten(0, (-1, 2, width // 2))
    return halves.transpose(1, 2).flatten(0, 2).contiguous()
