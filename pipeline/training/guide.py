"""The guide model's view of a training set: every text embedded once, looked up by row afterwards."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.records import Stopped, Triplet
from pipeline.training.order import in_rows
from pipeline.vectors import corpus_vectors

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

_PAIR_BLOCK = 65_536


@dataclass(frozen=True, slots=True)
class GuideTable:
    """Guide vectors of the unique texts of a training set and, per row, where its texts are."""

    unit_ud: "torch.Tensor"
    """float32 (unique texts, d), rows of length one."""
    rows_nc: "torch.Tensor"
    """int64 (rows, columns): premise, positive and hard negatives, -1 where a row has fewer; or the premise twice."""
    computed: int = 0
    """Texts that were embedded for this table; the others were kept from earlier."""

    def cosines(self, rows: "torch.Tensor", candidate_rows: "torch.Tensor | None" = None) -> "torch.Tensor":
        """Cosines of premises with all positives, then all hard negatives row by row, of a batch: float32 (n, M).

        `candidate_rows` are the rows of the whole batch where `rows` are one process's share of it.
        """
        import torch

        device = self.rows_nc.device
        premise_nd = self.unit_ud[self.rows_nc[rows.to(device), 0]]
        texts_nc = self.rows_nc[(rows if candidate_rows is None else candidate_rows).to(device)]
        hard = texts_nc[:, 2:].reshape(-1)
        if texts_nc.shape[1] > 3:  # with one each there is nothing to leave out, and no device to wait for
            hard = hard[hard >= 0]
        with torch.autocast(device.type, enabled=False):
            return premise_nd @ self.unit_ud[torch.cat([texts_nc[:, 1], hard])].T

    def to(self, device: str) -> "GuideTable":
        """Move the table to a device."""
        return GuideTable(self.unit_ud.to(device), self.rows_nc.to(device), self.computed)


def guide_table(
    triplets: Sequence[Triplet],
    guide: "SentenceTransformer",
    *,
    columns: int = 3,
    per_row: int = 1,
    cache: Path | None = None,
    should_stop: Callable[[], object] = lambda: None,
) -> GuideTable:
    """Embed the unique texts of the triplets with the guide, except those that `cache` already holds.

    With two columns only the premises are embedded, each its own positive. per_row: as in `unique_texts`.

    Raises:
        Stopped: when should_stop returns something true between two chunks of texts.
    """
    import torch

    unique, rows_nc = unique_texts(triplets, columns=columns, per_row=per_row)

    def stop_if_asked(done: int, total: int) -> None:
        if should_stop() and done < total:
            raise Stopped

    found = corpus_vectors(unique, guide, cache=cache, on_texts=stop_if_asked)
    return GuideTable(torch.from_numpy(found.unit_ud), torch.from_numpy(rows_nc), found.computed)


def unique_texts(triplets: Sequence[Triplet], *, columns: int = 3, per_row: int = 1) -> tuple[list[str], np.ndarray]:
    """Return the different texts of a training set, and where each row's texts are, int64 (rows, columns).

    With up to `per_row` hard negatives in a row (see `order.in_rows`) there are as many further columns as the
    fullest row needs; others end in -1.
    """
    if columns == 3:
        rows = [(r[0].premise, r[0].positive, *(t.hard_negative for t in r)) for r in in_rows(triplets, per_row)]
    else:
        rows = [(t.premise, t.premise) for t in triplets]
    row_of: dict[str, int] = {}
    places = [row_of.setdefault(text, len(row_of)) for row in rows for text in row]
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    rows_nc = np.full((len(rows), lengths.max(initial=columns)), -1, dtype=np.int64)
    rows_nc[np.arange(rows_nc.shape[1]) < lengths[:, None]] = places
    return list(row_of), rows_nc


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
