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
from dataclasses import replace
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.generation.engines.engine import SEQUENCES, WINDOW, CacheFullError, DecodeError, LocalEngine, Piece
from pipeline.generation.engines.gguf_weights import Vocabulary
from pipeline.records import WeightsError

UBATCH = 62
"""Tokens per pass; 64 and more would take a tiled attention kernel that visits every row's cells (3 times slower)."""


class LlamaLLM(LocalEngine):
    """A GGUF file in llama.cpp, with a batched context."""

    kind = "llama.cpp"
    rows = UBATCH
    """One pass of the context."""
    tokens_a_call = 248
    """Four passes of the context; their logits take 50 MB."""

    def __init__(self, path: Path, *, name: str, threads: int | None = None, cells: int = 8192) -> None:
        super().__init__(path, name=name, cells=cells, threads=threads)
        logging.getLogger("llama-cpp-python").setLevel(logging.CRITICAL)  # its callback prints every line otherwise
        self._model: ctypes.c_void_p | None = _load_model(path)
        tokens = Vocabulary(self._model)
        self.vocabulary, self.start = tokens.size, tokens.start
        self.ends, self.own_ends = tokens.ends, tokens.own_ends
        self.tokenize, self.detokenize = tokens.tokenize, tokens.detokenize
        self.window = min(WINDOW, llama_cpp.llama_model_n_ctx_train(self._model), cells)
        self._context: ctypes.c_void_p | None = _new_context(
            self._model, cells=cells, threads=self._choice.threads, path=path
        )
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._check_weights(SEQUENCES - 1)

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

    def logits(self, pieces: Sequence[Piece], tokens: torch.Tensor | None = None) -> torch.Tensor:
        """Append pieces to their sequences and return float32 (outputs, vocabulary) in the order of the pieces.

        It is a view that the next call overwrites. Raises CacheFullError when there is no room (nothing
        was decoded then) and DecodeError for any other failure.
        """
        if tokens is not None:
            pieces = [replace(piece, tokens=[token]) for piece, token in zip(pieces, tokens.tolist(), strict=True)]
        batch, kept = _batch(pieces)
        if batch.n_tokens > self.cells:  # llama.cpp would abort the process
            raise CacheFullError(f"{batch.n_tokens} tokens can never fit {self.cells} cells")
        threads = self._choice.next()
        llama_cpp.llama_set_n_threads(self._context, threads, threads)
        started = time.perf_counter()
        status = llama_cpp.llama_decode(self._context, batch)
        llama_cpp.llama_synchronize(self._context)
        self._choice.record(threads, batch.n_tokens, time.perf_counter() - started)
        del kept  # llama.cpp read these arrays through plain pointers; until here they must not be collected
        if status == 1:
            raise CacheFullError(f"no room for {batch.n_tokens} tokens in {self.cells} cells")
        if status != 0:
            raise DecodeError(f"llama_decode answered {status} for {batch.n_tokens} tokens")
        outputs = sum(min(piece.outputs, len(piece.tokens)) for piece in pieces)
        if outputs == 0:
            return torch.empty(0, self.vocabulary)
        # A float* into llama.cpp's own buffer: one row of logits per wanted output, in the order of the batch.
        logits = llama_cpp.llama_get_logits(self._context)
        return torch.from_numpy(np.ctypeslib.as_array(logits, shape=(outputs, self.vocabulary)))

    def _fill_prefix(self, sequence: int, tokens: tuple[int, ...]) -> None:
        self.forget(sequence)
        self.decode([Piece(sequence, 0, tokens, outputs=0)])

    def close(self) -> None:
        """Free context and model; calling it twice is harmless."""
        if self._context is not None:
            llama_cpp.llama_free(self._context)
            self._context = None
        if self._model is not None:
            llama_cpp.llama_model_free(self._model)
            self._model = None


def _load_model(path: Path) -> ctypes.c_void_p:
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
    """Lay pieces out as a llama_batch over numpy arrays, which the caller must keep until it is decoded.

    Every array has one entry per token, all pieces one after the other.
    """
    lengths = [len(piece.tokens) for piece in pieces]
    total = sum(lengths)
    token = np.fromiter((token for piece in pieces for token in piece.tokens), np.int32, total)
    starts = np.repeat([piece.position for piece in pieces], lengths)
    offsets = np.arange(total) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    # offsets count 0, 1, ... within each piece.
    position = (starts + offsets).astype(np.int32)
    sequence = np.repeat([piece.sequence for piece in pieces], lengths).astype(np.int32)
    wanted = np.repeat([piece.outputs for piece in pieces], lengths)
    output = (offsets >= np.repeat(lengths, lengths) - wanted).astype(np.int8)
    ones = np.ones(total, dtype=np.int32)
    # seq_id is an int32**: for each token the address of its list of sequences, here a list of one (4 bytes).
    pointers = (sequence.ctypes.data + 4 * np.arange(total)).astype(np.uintp)
    batch = llama_cpp.llama_batch()
    # The structure's own field types say what each address is cast to; `logits` marks the tokens with output.
    kinds: dict[str, Any] = {name: kind for name, kind, *_ in llama_cpp.llama_batch._fields_}
    batch.n_tokens = total
    fields = {"token": token, "pos": position, "n_seq_id": ones, "seq_id": pointers, "logits": output}
    for name, array in fields.items():
        setattr(batch, name, ctypes.cast(array.ctypes.data, kinds[name]))
    return batch, [*fields.values(), sequence]
