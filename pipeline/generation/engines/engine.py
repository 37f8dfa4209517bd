"""Engines that compute next-token logits for many rows: the interface, and what llama.cpp and torch share."""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.records import WeightsError

if TYPE_CHECKING:
    import torch

SEQUENCES = 256
"""Sequences of one context of llama.cpp (its own maximum), and of one call of a judge."""
PREFIXES = 8
"""Number of sequences reserved for shared prompt prefixes, the first ones; rows use the others."""
WINDOW = 1024
"""Longest sequence in tokens: prefix, premise and reply."""
_FIRST_PROBE_CALLS = 4
_RAREST_PROBE_CALLS = 384
_GAIN_TO_SWITCH = 1.1
_MEMORY = 0.7
_OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")


def usable_threads() -> int:
    """Return how many cores this process may use, at most OMP_NUM_THREADS where that is set, as torch does."""
    cores = len(os.sched_getaffinity(0))
    limit = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return min(cores, int(limit)) if limit.isdecimal() and int(limit) else cores


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch says that memory did not suffice; on a CPU it is a plain RuntimeError."""
    import torch

    message = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(word in message for word in _OUT_OF_MEMORY)


class CacheFullError(Exception):
    """The key-value cache has no room for these tokens; nothing was decoded and the caller may try fewer."""


class DecodeError(Exception):
    """llama.cpp could not decode a batch, for a reason other than a full cache."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Tokens to append to one sequence at a position; logits are returned for the last `outputs` of them."""

    sequence: int
    position: int
    tokens: Sequence[int]
    outputs: int = 1


class Engine(Protocol):
    """A loaded model. The first PREFIXES sequences hold shared prompts, the others are rows."""

    name: str
    kind: str
    """Backend and number format, for display."""
    vocabulary: int
    window: int
    cells: int
    sequences: int
    rows: int
    """Number of rows with the highest throughput."""
    ahead: int
    """Tokens of a reply that are chosen before the host looks whether it has ended."""
    tokens_a_call: int
    """Tokens per call with the highest throughput when texts are scored rather than generated."""
    ends: NDArray[np.bool_]
    """Which tokens end a reply of one line."""
    own_ends: NDArray[np.bool_]
    """Which of them are the model's own end tokens."""
    start: tuple[int, ...]
    """Tokens that the model's texts begin with."""

    @property
    def prefix_cells(self) -> int:
        """Number of `cells` taken by shared prompts."""
        ...

    def tokenize(self, text: str, *, marked: bool = False) -> list[int]:
        """Return the tokens of a text; special tokens spelt out in it are plain text unless `marked`."""
        ...

    def detokenize(self, tokens: Sequence[int], *, marked: bool = False) -> str:
        """Return the text of tokens; marked: special tokens are kept."""
        ...

    def prefix(self, tokens: Sequence[int]) -> int:
        """Return the sequence that holds these shared tokens, computing them on first use."""
        ...

    def share(self, source: int, target: int) -> None:
        """Start a target row with the whole content of a source sequence."""
        ...

    def forget(self, sequence: int) -> None:
        """Empty a row."""
        ...

    def logits(self, pieces: Sequence[Piece], tokens: "torch.Tensor | None" = None) -> "torch.Tensor":
        """Append pieces to rows and return their logits, float32 (outputs, vocabulary), in order, on the device.

        tokens: what pieces of one token consist of, int64 (pieces,), where only the device knows it yet.
        """
        ...

    def decode(self, pieces: Sequence[Piece]) -> NDArray[np.float32]:
        """Append pieces to rows and return their logits in this process's memory; see logits."""
        ...

    def close(self) -> None:
        """Release all memory; may be called twice."""
        ...


class LocalEngine(ABC):
    """Weights in an engine of this process. Not thread-safe: one call at a time; close it after use."""

    sequences = SEQUENCES
    ahead = 1

    def __init__(self, path: Path, *, name: str, cells: int, threads: int | None) -> None:
        """Check that a path is a folder or a GGUF file; threads: None takes those of usable_threads."""
        if not path.is_dir():
            check_gguf(path)
        self.path = path
        self.name = name
        self.cells = cells
        self._choice = ThreadChoice(threads or usable_threads())
        self._prefixes: dict[tuple[int, ...], int] = {}

    def prefix(self, tokens: Sequence[int]) -> int:
        """Return the sequence that holds these shared tokens, computing them on first use.

        When all PREFIXES sequences are taken, the oldest prefix is replaced.
        """
        key = tuple(tokens)
        if key not in self._prefixes:
            sequence = len(self._prefixes)
            if sequence == PREFIXES:
                sequence = self._prefixes.pop(next(iter(self._prefixes)))
            self._fill_prefix(sequence, key)
            self._prefixes[key] = sequence
        return self._prefixes[key]

    @abstractmethod
    def _fill_prefix(self, sequence: int, tokens: tuple[int, ...]) -> None:
        """Compute shared tokens into a sequence, replacing its content."""

    @abstractmethod
    def logits(self, pieces: Sequence[Piece], tokens: "torch.Tensor | None" = None) -> "torch.Tensor":
        """Append pieces to rows and return their logits; see Engine."""

    def decode(self, pieces: Sequence[Piece]) -> NDArray[np.float32]:
        """Append pieces to rows and return their logits in this process's memory; see Engine."""
        return self.logits(pieces).cpu().numpy()

    @abstractmethod
    def forget(self, sequence: int) -> None:
        """Empty a row."""

    @abstractmethod
    def close(self) -> None:
        """Release all memory; may be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_weights(self, sequence: int) -> None:
        """Compute a few tokens: with damaged weights the logits are not finite or all equal.

        A single one would not do: a token of padding may be zero in sound weights.
        """
        logits = self.decode([Piece(sequence, 0, [0, 1, 2], outputs=3)])
        is_sound = bool(np.isfinite(logits).all()) and float(np.ptp(logits)) > 0
        self.forget(sequence)
        if not is_sound:
            self.close()
            raise WeightsError(f"The weights {self.path} are damaged: the model's logits are not finite numbers.")


class ThreadChoice:
    """Chooses between all threads and half of them by the rates measured so far."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._other = max(1, threads // 2)
        self._rate: dict[int, float] = {}
        self._calls = 0
        self._probe_after = _FIRST_PROBE_CALLS

    def next(self) -> int:
        """Return the number of threads for the next call; occasionally the other number, as a probe."""
        self._calls += 1
        return self._other if self._calls > self._probe_after else self.threads

    def record(self, threads: int, tokens: int, seconds: float) -> None:
        """Record the time of a call with this many threads, and switch if the probe was clearly faster."""
        rate = tokens / max(seconds, 1e-9)
        if threads == self.threads:
            self._rate[threads] = _MEMORY * self._rate.get(threads, rate) + (1 - _MEMORY) * rate
            return
        self._calls = 0
        if rate > _GAIN_TO_SWITCH * self._rate.get(self.threads, 0.0):
            self.threads, self._other = threads, self.threads
            self._rate[threads] = rate
            self._probe_after = _FIRST_PROBE_CALLS
        else:
            self._probe_after = min(2 * self._probe_after, _RAREST_PROBE_CALLS)


def check_gguf(path: Path) -> None:
    """Raise a WeightsError if a path is not a readable GGUF file.

    Truncated and garbled headers are left to llama.cpp: none of 60 randomly damaged files crashed it.
    """
    try:
        with path.open("rb") as stream:
            magic = stream.read(4)
    except OSError as error:
        raise WeightsError(
            f"Cannot read the weights {path}: {error.strerror}; name an existing GGUF file."
        ) from error
    if magic != b"GGUF":
        raise WeightsError(f"{path} is not a GGUF file: name a model in llama.cpp's format.")
