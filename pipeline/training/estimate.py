"""What a run will need, told before it starts; reads no weights and loads no model library."""

import json
from collections.abc import Iterator
from math import prod
from pathlib import Path

from pipeline import weights
from pipeline.errors import InputError

_STATIC, _MINILM, _SMOLLM2 = "static-minilm", "all-MiniLM-L6-v2", "smollm2-135m"
_TABLE = "embeddings.word_embeddings.weight"
_SMOLLM2_PARAMETERS = 134_515_008
"""Its safetensors copy is made on first use, so it cannot be asked before."""
BYTES_PER_PARAMETER = 16
"""float32 weight, gradient and Adam's two moments."""


def parameter_count(encoder: str) -> int | None:
    """Return the parameters of a built-in encoder or of a local folder's safetensors files; None if unknown."""
    if encoder == _SMOLLM2:
        return _SMOLLM2_PARAMETERS
    try:
        if encoder in (_STATIC, _MINILM):
            shapes = dict(_shapes(weights.minilm_weights()))
            return prod(shapes[_TABLE]) if encoder == _STATIC else sum(prod(shape) for shape in shapes.values())
        files = sorted(Path(encoder).rglob("*.safetensors")) if Path(encoder).is_dir() else []
        return sum(prod(shape) for file in files for _, shape in _shapes(file)) if files else None
    except (InputError, OSError, ValueError, KeyError):
        return None


def fixed_memory_bytes(parameters: int, *, rows: int, width: int = 384, guided: bool = True) -> int:
    """Memory of weights, gradients, optimizer and guide vectors; what a batch's activations take comes on top.

    rows: triplets; each has up to three texts of `width` float32 numbers in the guide's table.
    """
    return BYTES_PER_PARAMETER * parameters + (3 * rows * width * 4 if guided else 0)


def _shapes(file: Path) -> Iterator[tuple[str, list[int]]]:
    """Yield name and shape of every tensor, from the JSON at the head of a safetensors file."""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > 100_000_000:
            raise ValueError(f"{file} is no safetensors file")
        header = json.loads(stream.read(length))
    for name, tensor in header.items():
        if name != "__metadata__":
            yield name, tensor["shape"]
