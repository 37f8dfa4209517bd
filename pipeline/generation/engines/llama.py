"""One llama.cpp model with a batched context: rows of tokens in, rows of logits out.

The context is our own because the high-level `Llama` keeps one sequence only. All sequences share one key-value
cache, so that a prompt decoded once is copied to any number of rows for nothing. On a CPU the attention kernel that
skips other rows' cells is used below 64 rows per pass, hence UBATCH; measured in benchmarks/generation.py.
"""

import ctypes
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from pipeline.generation.engines.gguf_weights import Vocabulary
from pipeline.records import WeightsError

_FIRST_PROBE_CALLS = 4
_RAREST_PROBE_CALLS = 384
_GAIN_TO_SWITCH = 1.1
_MEMORY = 0.7


class ThreadChoice:
    """Chooses between all threads and half of them from the rates seen so far."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._other = max(1, threads // 2)
        self._rate: dict[int, float] = {}
        self._calls = 0
        self._probe_after = _FIRST_PROBE_CALLS

    def next(self) -> int:
        """Return the number of threads for the next call; now and then it is the one not in use, as a probe."""
        self._calls += 1
        return self._other if self._calls > self._probe_after else self.threads

    def record(self, threads: int, tokens: int, seconds: float) -> None:
        """Note what a call with this many threads took, and switch when the probe was clearly faster."""
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


SEQUENCES = 256
"""Sequences of one context (llama.cpp's own maximum)."""
PREFIXES = 8
"""The first sequences, kept for shared prompt prefixes; rows use the others."""
UBATCH = 62
"""Tokens per pass; 64 and more would take a tiled attention kernel that visits every row's cells (3 times slower)."""
WINDOW = 1024
"""Longest sequence in tokens: prefix, premise and reply."""


class CacheFullError(Exception):
    """The key-value cache has no room for these tokens; nothing was decoded and the caller may try fewer."""


class DecodeError(Exception):
    """llama.cpp could not decode a batch for another reason than a full cache."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Tokens to append to one sequence at a position; logits come back for the last `outputs` of them."""

    sequence: int
    position: int
    tokens: Sequence[int]
    outputs: int = 1


class LlamaLLM:
    """A loaded GGUF and its batched context. Not thread-safe: one per process, one call at a time."""

    rows = UBATCH
    """One pass of the context."""
    tokens_a_call = 248
    """Four passes of the context; their logits take 50 MB."""

    def __init__(self, path: Path, *, name: str, threads: int | None = None, cells: int = 8192) -> None:
        self.name = name
        self.kind = "llama.cpp"
        self.path = path
        self.cells = cells
        self._choice = ThreadChoice(threads or len(os.sched_getaffinity(0)))
        logging.getLogger("llama-cpp-python").setLevel(logging.CRITICAL)  # its callback prints every line otherwise
        self._model: ctypes.c_void_p | None = _load_model(path)
        tokens = Vocabulary(self._model)
        self.vocabulary, self.ends = tokens.size, tokens.ends
        self.tokenize, self.detokenize = tokens.tokenize, tokens.detokenize
        self.window = min(WINDOW, llama_cpp.llama_model_n_ctx_train(self._model), cells)
        self._context: ctypes.c_void_p | None = _new_context(
            self._model, cells=cells, threads=self._choice.threads, path=path
        )
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._prefixes: dict[tuple[int, ...], int] = {}
        self._probe()

    def prefix(self, tokens: Sequence[int]) -> int:
        """Return the sequence that holds these shared tokens, decoding them the first time."""
        key = tuple(tokens)
        if key not in self._prefixes:
            if len(self._prefixes) == PREFIXES:
                oldest, sequence = next(iter(self._prefixes.items()))
                del self._prefixes[oldest]
                self.forget(sequence)
            else:
                sequence = len(self._prefixes)
            self.decode([Piece(sequence, 0, key, outputs=0)])
            self._prefixes[key] = sequence
        return self._prefixes[key]

    @property
    def prefix_cells(self) -> int:
        """Cells taken by shared prefixes."""
        return sum(map(len, self._prefixes))

    def share(self, source: int, target: int) -> None:
        """Let a target sequence see all cells of a source sequence; costs no memory."""
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def forget(self, sequence: int) -> None:
        """Remove a sequence; cells that no other sequence sees become free."""
        llama_cpp.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def decode(self, pieces: Sequence[Piece]) -> NDArray[np.float32]:
        """Append pieces to their sequences and return float32 (outputs, vocabulary) in the order of the pieces.

        The array is a view that the next call overwrites. Raises CacheFullError when there is no room (nothing
        was decoded then) and DecodeError for any other failure.
        """
        batch, kept = _batch(pieces)
        if batch.n_tokens > self.cells:  # llama.cpp would abort the process
            raise CacheFullError(f"{batch.n_tokens} tokens can never fit {self.cells} cells")
        threads = self._choice.next()
        llama_cpp.llama_set_n_threads(self._context, threads, threads)
        started = time.perf_counter()
        status = llama_cpp.llama_decode(self._context, batch)
        llama_cpp.llama_synchronize(self._context)
        self._choice.record(threads, batch.n_tokens, time.perf_counter() - started)
        del kept  # the arrays must live until here
        if status == 1:
            raise CacheFullError(f"no room for {batch.n_tokens} tokens in {self.cells} cells")
        if status != 0:
            raise DecodeError(f"llama_decode answered {status} for {batch.n_tokens} tokens")
        outputs = sum(min(piece.outputs, len(piece.tokens)) for piece in pieces)
        if outputs == 0:
            return np.empty((0, self.vocabulary), dtype=np.float32)
        logits = llama_cpp.llama_get_logits(self._context)
        return np.ctypeslib.as_array(logits, shape=(outputs, self.vocabulary))

    def close(self) -> None:
        """Free context and model; calling it twice is harmless."""
        if self._context is not None:
            llama_cpp.llama_free(self._context)
            self._context = None
        if self._model is not None:
            llama_cpp.llama_model_free(self._model)
            self._model = None

    def __enter__(self) -> "LlamaLLM":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _probe(self) -> None:
        """Decode one token: weights damaged beyond the header show as logits that are not finite."""
        row = self.decode([Piece(SEQUENCES - 1, 0, [0])])[0]
        finite = bool(np.isfinite(row).all()) and float(np.ptp(row)) > 0
        self.forget(SEQUENCES - 1)
        if not finite:
            self.close()
            raise WeightsError(f"The weights {self.path} are damaged: the model's answers are not finite numbers.")


def check_gguf(path: Path) -> None:
    """Raise a WeightsError with a clear sentence when a path is not a readable GGUF file.

    Truncated and garbled headers are llama.cpp's to refuse: of 60 randomly damaged files none brought it down.
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


def _load_model(path: Path) -> ctypes.c_void_p:
    check_gguf(path)
    settings = llama_cpp.llama_model_default_params()
    settings.n_gpu_layers = 999 if llama_cpp.llama_supports_gpu_offload() else 0
    model = llama_cpp.llama_model_load_from_file(os.fsencode(path), settings)
    if not model:
        raise WeightsError(f"llama.cpp cannot load {path}: its weights are damaged or of an unknown architecture.")
    if not llama_cpp.llama_model_has_decoder(model):
        llama_cpp.llama_model_free(model)
        raise WeightsError(f"{path} is not a text-generating model: choose a GGUF of a decoder such as SmolLM2.")
    return model


def _new_context(model: ctypes.c_void_p, *, cells: int, threads: int, path: Path) -> ctypes.c_void_p:
    settings = llama_cpp.llama_context_default_params()
    settings.n_ctx = cells
    settings.n_batch = cells  # one call may hold any number of rows; it is split into passes of n_ubatch
    settings.n_ubatch = UBATCH
    settings.n_seq_max = SEQUENCES
    settings.n_threads = settings.n_threads_batch = threads
    settings.kv_unified = True  # partial copies between separate streams abort the process
    settings.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED
    settings.no_perf = True
    context = llama_cpp.llama_init_from_model(model, settings)
    if not context:
        llama_cpp.llama_model_free(model)
        raise WeightsError(f"llama.cpp cannot make a context of {cells} cells for {path}: is there enough memory?")
    return context


def _batch(pieces: Sequence[Piece]) -> tuple[llama_cpp.llama_batch, list[NDArray]]:
    """Lay pieces out as a llama_batch over numpy arrays, which the caller must keep until it is decoded."""
    lengths = [len(piece.tokens) for piece in pieces]
    total = sum(lengths)
    token = np.fromiter((token for piece in pieces for token in piece.tokens), np.int32, total)
    starts = np.repeat([piece.position for piece in pieces], lengths)
    offsets = np.arange(total) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    position = (starts + offsets).astype(np.int32)
    sequence = np.repeat([piece.sequence for piece in pieces], lengths).astype(np.int32)
    wanted = np.repeat([piece.outputs for piece in pieces], lengths)
    output = (offsets >= np.repeat(lengths, lengths) - wanted).astype(np.int8)
    ones = np.ones(total, dtype=np.int32)
    pointers = (sequence.ctypes.data + 4 * np.arange(total)).astype(np.uintp)  # each token names one sequence
    batch = llama_cpp.llama_batch()
    kinds: dict[str, Any] = {name: kind for name, kind, *_ in llama_cpp.llama_batch._fields_}
    batch.n_tokens = total
    fields = {"token": token, "pos": position, "n_seq_id": ones, "seq_id": pointers, "logits": output}
    for name, array in fields.items():
        setattr(batch, name, ctypes.cast(array.ctypes.data, kinds[name]))
    return batch, [*fields.values(), sequence]
