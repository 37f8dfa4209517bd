"""The guide model's view of a training set: every text embedded once, looked up by row afterwards."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.durable import write_array
from pipeline.errors import Stopped
from pipeline.records import Triplet

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

logger = logging.getLogger(__name__)

KEPT_VECTORS = "guide-*.npy"
"""Files of a cache; the star stands for a hash of texts and weights."""
_CHUNK_TEXTS = 1024
_PAIR_BLOCK = 65_536


@dataclass(frozen=True, slots=True)
class GuideTable:
    """Guide vectors of the unique texts of a training set and, per row, where its texts are."""

    unit_ud: "torch.Tensor"
    """float32 (unique texts, d), rows of length one."""
    rows_nc: "torch.Tensor"
    """int64 (rows, 3): premise, positive, hard negative; or (rows, 2): the premise twice."""

    def cosines(self, rows: "torch.Tensor", candidate_rows: "torch.Tensor | None" = None) -> "torch.Tensor":
        """Cosines of premises with all positives, then all hard negatives, of a batch: float32 (n, M).

        `candidate_rows` are the rows of the whole batch where `rows` are one process's share of it.
        """
        import torch

        device = self.rows_nc.device
        premise_nd = self.unit_ud[self.rows_nc[rows.to(device), 0]]
        candidates_nc = self.rows_nc[(rows if candidate_rows is None else candidate_rows).to(device), 1:]
        with torch.autocast(device.type, enabled=False):
            return premise_nd @ self.unit_ud[candidates_nc.T.reshape(-1)].T

    def to(self, device: str) -> "GuideTable":
        """Move the table to a device."""
        return GuideTable(self.unit_ud.to(device), self.rows_nc.to(device))


def guide_table(
    triplets: Sequence[Triplet],
    guide: "SentenceTransformer",
    *,
    columns: int = 3,
    cache: Path | None = None,
    batch_size: int = 64,
    should_stop: Callable[[], object] = lambda: None,
) -> GuideTable:
    """Embed the unique texts of the triplets with the guide, or read them from `cache` if they were before.

    With two columns only the premises are embedded, each its own positive.

    Raises:
        Stopped: when should_stop returns something true between two chunks of texts.
    """
    import torch

    unique, rows_nc = unique_texts(triplets, columns=columns)
    unit_ud = embed_texts(unique, guide, cache=cache, batch_size=batch_size, should_stop=should_stop)
    return GuideTable(torch.from_numpy(unit_ud), torch.from_numpy(rows_nc))


def unique_texts(triplets: Sequence[Triplet], *, columns: int = 3) -> tuple[list[str], np.ndarray]:
    """Return the different texts of a training set, and where each row's texts are, int64 (rows, columns)."""
    rows = [(t.premise, t.positive, t.hard_negative) if columns == 3 else (t.premise, t.premise) for t in triplets]
    row_of: dict[str, int] = {}
    places = [row_of.setdefault(text, len(row_of)) for row in rows for text in row]
    return list(row_of), np.array(places, dtype=np.int64).reshape(-1, columns)


def embed_texts(
    texts: Sequence[str],
    guide: "SentenceTransformer",
    *,
    cache: Path | None = None,
    batch_size: int = 64,
    should_stop: Callable[[], object] = lambda: None,
) -> np.ndarray:
    """Guide vectors of unique texts, float32 (n, d), rows of length one (a zero row stays zero).

    With `cache`, they are kept in one .npy file there, named by the texts and the guide's weights.
    """
    path = None if cache is None else cache / KEPT_VECTORS.replace("*", _content_id(texts, guide))
    cached = _read_cached(path, len(texts))
    if cached is not None:
        return cached
    vectors = _embed(texts, guide, batch_size, should_stop)
    if path is not None:
        _write_atomically(path, vectors)
    return vectors


def guide_identity(guide: "SentenceTransformer") -> str:
    """Hash of everything that decides a guide's vectors: its modules and weights, and its longest text."""
    digest = blake2b(f"{guide}|{guide.max_seq_length}".encode(), digest_size=16)
    for name, tensor in sorted(guide.state_dict().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensor.detach().cpu().float().numpy()).data)
    return digest.hexdigest()


def random_pair_cosines(unit_ud: np.ndarray, *, pairs: int, seed: int) -> np.ndarray:
    """Cosines of random pairs of different rows, float32 (pairs,): what unrelated texts look like to this guide."""
    if len(unit_ud) < 2:
        raise ValueError(f"random pairs need at least two texts, got {len(unit_ud)}")
    generator = np.random.default_rng(seed)
    first = generator.integers(0, len(unit_ud), size=pairs)
    second = (first + generator.integers(1, len(unit_ud), size=pairs)) % len(unit_ud)
    blocks = [slice(start, start + _PAIR_BLOCK) for start in range(0, pairs, _PAIR_BLOCK)]
    return np.concatenate([np.einsum("nd,nd->n", unit_ud[first[b]], unit_ud[second[b]]) for b in blocks])


def phi_for_share(unit_ud: np.ndarray, share: float, *, seed: int, pairs: int = 200_000) -> float:
    """The cosine that this share of random text pairs exceeds: phi in a unit that carries over between guides."""
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, got {share}")
    return float(np.quantile(random_pair_cosines(unit_ud, pairs=pairs, seed=seed), 1 - share))


def share_above_phi(unit_ud: np.ndarray, phi: float, *, seed: int, pairs: int = 200_000) -> float:
    """Share of random text pairs whose guide cosine exceeds phi: the inverse of `phi_for_share`."""
    return float(np.mean(random_pair_cosines(unit_ud, pairs=pairs, seed=seed) > phi))


def _embed(
    texts: Sequence[str], guide: "SentenceTransformer", batch_size: int, should_stop: Callable[[], object]
) -> np.ndarray:
    guide.eval()
    # Sorted as a whole, so that every chunk holds texts of like length and little is padding.
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]), reverse=True)
    unit_ud = np.empty((len(texts), guide.get_embedding_dimension() or 0), dtype=np.float32)
    for start in range(0, len(order), _CHUNK_TEXTS):
        if should_stop():
            raise Stopped
        rows = order[start : start + _CHUNK_TEXTS]
        vectors = guide.encode([texts[row] for row in rows], batch_size=batch_size, show_progress_bar=False)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit_ud[rows] = vectors / np.where(lengths > 0, lengths, 1.0)
    return unit_ud


def _content_id(texts: Sequence[str], guide: "SentenceTransformer") -> str:
    digest = blake2b(guide_identity(guide).encode(), digest_size=16)
    for text in texts:
        encoded = text.encode()
        digest.update(len(encoded).to_bytes(8, "little"))  # so that two texts are never one
        digest.update(encoded)
    return digest.hexdigest()


def _read_cached(path: Path | None, rows: int) -> np.ndarray | None:
    if path is None or not path.is_file():
        return None
    try:
        vectors = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        logger.warning("%s is damaged (%s); its texts are embedded again", path, error)
        return None
    return vectors if len(vectors) == rows else None


def _write_atomically(path: Path, vectors: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_array(path, vectors)
