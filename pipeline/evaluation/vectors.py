"""Vectors of a corpus, computed once per encoder and kept: one .npy per encoder and list of texts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.durable import write_array

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_CHUNK_TEXTS = 1024


@dataclass(slots=True)
class CorpusVectors:
    """Unit vectors of different texts, looked up by text."""

    texts: list[str]
    unit_ud: np.ndarray
    """float32 (texts, d), rows of length one."""
    computed: bool
    """False when they were read from an earlier run."""
    _row: dict[str, int] | None = None

    def __call__(self, sentences: Sequence[str]) -> np.ndarray:
        """Return float32 (len(sentences), d)."""
        if self._row is None:
            self._row = {text: row for row, text in enumerate(self.texts)}
        return self.unit_ud[[self._row[sentence] for sentence in sentences]]


def corpus_vectors(
    texts: Sequence[str],
    encoder: "SentenceTransformer",
    *,
    cache: Path | None,
    batch_size: int = 64,
    on_texts: Callable[[int, int], None] = lambda done, total: None,
) -> CorpusVectors:
    """Embed the different texts of a corpus, or read their vectors where this encoder has embedded them before.

    The file is named by the encoder's weights and the texts, whatever order they come in; a damaged one is made anew.
    `on_texts` is told how many of how many texts are done.
    """
    from pipeline.training.guide import guide_identity

    unique = sorted(set(texts))
    path = None if cache is None else cache / f"{_content_id(guide_identity(encoder), unique)}.npy"
    kept = _read(path, len(unique))
    if kept is not None:
        return CorpusVectors(unique, kept, computed=False)
    unit_ud = _embed(unique, encoder, batch_size, on_texts)
    if path is not None:
        _keep(path, unit_ud)
    return CorpusVectors(unique, unit_ud, computed=True)


def _embed(
    texts: list[str], encoder: "SentenceTransformer", batch_size: int, on_texts: Callable[[int, int], None]
) -> np.ndarray:
    # Longest first: batches are padded little, and running out of memory shows at once.
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]), reverse=True)
    unit_ud = np.empty((len(texts), encoder.get_embedding_dimension() or 0), dtype=np.float32)
    for start in range(0, len(order), _CHUNK_TEXTS):
        rows = order[start : start + _CHUNK_TEXTS]
        vectors = encoder.encode([texts[row] for row in rows], batch_size=batch_size, show_progress_bar=False)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit_ud[rows] = vectors / np.where(lengths > 0, lengths, 1.0)
        on_texts(start + len(rows), len(texts))
    return unit_ud


def _content_id(identity: str, texts: list[str]) -> str:
    digest = blake2b(identity.encode(), digest_size=16)
    for text in texts:
        encoded = text.encode()
        digest.update(len(encoded).to_bytes(8, "little"))  # so that two texts are never one
        digest.update(encoded)
    return digest.hexdigest()


def _read(path: Path | None, rows: int) -> np.ndarray | None:
    if path is None or not path.is_file():
        return None
    try:
        vectors = np.load(path, allow_pickle=False)
    except (ValueError, EOFError):
        return None  # cut short by a full disk or a kill: the caller computes it again
    return vectors if vectors.ndim == 2 and len(vectors) == rows else None


def _keep(path: Path, vectors: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_array(path, vectors)
