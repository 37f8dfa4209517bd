"""The candidates that a mask threshold phi would remove from the loss, for all phi at once, before training."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

KINDS = ("in-batch positive", "in-batch hard negative", "own hard negative")
BINS = 2000
"""Cosines are counted in steps of 0.001."""
_PREVIEW_CELLS, _PAIR_CELLS = 1 << 22, 1 << 23
"""Cosines held in memory at a time."""
_BAND = 0.02
_LOWEST = 0.3
_PAIR_DTYPE = np.dtype([("premise", "i4"), ("candidate", "i4"), ("side", "u1"), ("cosine", "f4")])


@dataclass(slots=True)
class MaskPreview:
    """Counts of guide cosines by kind of candidate, and examples of each."""

    counts: dict[str, np.ndarray]
    """kind -> int64 (BINS,): candidates whose cosine lies in [-1 + 0.001 k, -1 + 0.001 (k + 1))."""
    random_pairs: np.ndarray
    """int64 (BINS,): the same for random pairs of texts."""
    premises: int
    """Number of premises compared with all candidates; a sample if the set is large."""
    examples: list[dict[str, Any]] = field(default_factory=list)
    """kind, cosine, and the row numbers of premise and candidate."""

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "counts": {kind: counts.tolist() for kind, counts in self.counts.items()},
            "random_pairs": self.random_pairs.tolist(),
            "premises": self.premises,
            "examples": self.examples,
        }


def preview_mask(
    premise_nd: np.ndarray,
    positive_nd: np.ndarray,
    hard_negative_nd: np.ndarray,
    random_cosines: np.ndarray,
    *,
    seed: int,
    most_premises: int = 2000,
    per_band: int = 8,
) -> MaskPreview:
    """Compare premises with the positives and hard negatives of the other rows, and with their own hard negative.

    A mask at phi removes the candidates with a cosine above phi (MultiCSR, arXiv 2310.10962, stage 3, m_ij); a row's
    own positive is never a candidate. Batches are random, hence the share of all pairs above phi is the expected
    masked share of a batch.

    Args:
        premise_nd: float32 (n, d), unit guide vectors, as are the next two.
        positive_nd: float32 (n, d).
        hard_negative_nd: float32 (n, d).
        random_cosines: float (pairs,), cosines of random pairs of texts under the same guide.
        seed: for the samples of premises and examples.
        most_premises: most premises compared; larger sets are sampled.
        per_band: examples kept per kind and band of 0.02.
    """
    generator = np.random.default_rng(seed)
    n = len(premise_nd)
    chosen = np.arange(n) if n <= most_premises else np.sort(generator.choice(n, most_premises, replace=False))
    counts = {kind: np.zeros(BINS, dtype=np.int64) for kind in KINDS}
    examples = _Examples(generator, per_band)
    step = max(1, _PREVIEW_CELLS // n)
    for start in range(0, len(chosen), step):
        rows = chosen[start : start + step]
        for kind, candidate_nd in zip(KINDS, (positive_nd, hard_negative_nd), strict=False):
            cosine = premise_nd[rows] @ candidate_nd.T
            is_other = np.ones(cosine.shape, dtype=bool)
            is_other[np.arange(len(rows)), rows] = False
            counts[kind] += _counted(cosine[is_other])
            examples.add(kind, np.where(is_other, cosine, -1.0), rows, None)
    own = np.einsum("nd,nd->n", premise_nd, hard_negative_nd)
    counts[KINDS[2]] = _counted(own)
    examples.add(KINDS[2], own[:, None], np.arange(n), np.arange(n))
    return MaskPreview(counts, _counted(random_cosines), len(chosen), examples.listed())


def shares_above(counts: np.ndarray) -> np.ndarray:
    """Return the share of the counted cosines at or above the lower edge of each bin, float64 (bins,)."""
    total = counts.sum()
    return counts[::-1].cumsum()[::-1] / total if total else np.zeros(len(counts))


def bin_of(phi: float) -> int:
    """Return the bin whose lower edge is this phi, to the nearest step of 0.001."""
    return min(max(round((phi + 1) * BINS / 2), 0), BINS - 1)


def phi_of_share(counts: np.ndarray, share: float) -> float:
    """The lowest phi with at most this share of the counted cosines at or above it."""
    return float(np.argmax(shares_above(counts) <= share)) * 2 / BINS - 1


def _counted(cosines: np.ndarray) -> np.ndarray:
    """Count cosines by bin, int64 (BINS,)."""
    place = np.floor((cosines.astype(np.float64) + 1) * (BINS / 2) + 1e-6).astype(np.int64)
    return np.bincount(np.clip(place, 0, BINS - 1), minlength=BINS)


class _Examples:
    """A few candidates from every band of cosines: any phi then has examples near it."""

    def __init__(self, generator: np.random.Generator, per_band: int) -> None:
        self._generator, self._per_band = generator, per_band
        self._kept: dict[tuple[str, int], list[tuple[float, int, int]]] = {}

    def add(self, kind: str, cosine: np.ndarray, rows: np.ndarray, columns: np.ndarray | None) -> None:
        """Sample candidates of a block.

        cosine: float32 (rows, candidates). columns: None if the candidates are all n rows, else they are the rows'
        own.
        """
        band = np.floor((cosine - _LOWEST) / _BAND).clip(-1, 127).astype(np.int8)
        for number in np.unique(band[band >= 0]).tolist():
            kept = self._kept.setdefault((kind, number), [])
            places = np.flatnonzero(band == number)
            drawn = self._generator.choice(places, min(self._per_band, len(places)), replace=False)
            for row, column in zip(*np.unravel_index(drawn, cosine.shape), strict=True):
                candidate = int(rows[row]) if columns is not None else int(column)
                kept.append((float(cosine[row, column]), int(rows[row]), candidate))
            self._generator.shuffle(kept)
            del kept[self._per_band :]

    def listed(self) -> list[dict[str, Any]]:
        """Return all examples, highest cosine first."""
        found = [
            {"kind": kind, "cosine": cosine, "premise": premise, "candidate": candidate}
            for (kind, _), kept in self._kept.items()
            for cosine, premise, candidate in kept
        ]
        return sorted(found, key=lambda item: -item["cosine"])


@dataclass(frozen=True, slots=True)
class MaskedPairs:
    """The pairs of a premise and a candidate with the highest guide cosines, in descending order."""

    premise: np.ndarray
    """int32 (pairs,): index of the premise's triplet."""
    candidate: np.ndarray
    """int32 (pairs,): index of the candidate's triplet."""
    is_hard_negative: np.ndarray
    """bool (pairs,): whether the candidate is that triplet's hard negative and not its positive."""
    cosine: np.ndarray
    """float32 (pairs,)."""
    floor: float
    """All pairs above this cosine are listed; counts are exact from here up."""
    candidates: int
    """Number of pairs compared."""


def masked_pairs(
    premise_nd: np.ndarray,
    positive_nd: np.ndarray,
    hard_negative_nd: np.ndarray,
    *,
    floor: float = 0.5,
    most: int = 50_000,
) -> MaskedPairs:
    """Find every pair (premise i, candidate of triplet j) whose guide cosine exceeds a floor.

    Candidates are all hard negatives and all positives except the row's own, as in the loss (MultiCSR, arXiv
    2310.10962, stage 3, m_ij): phi masks exactly the pairs with a cosine above phi, whenever both triplets share a
    batch.

    Args:
        premise_nd: float32 (n, d), unit guide vectors, as are the other two.
        positive_nd: float32 (n, d).
        hard_negative_nd: float32 (n, d).
        floor: lowest cosine kept.
        most: the floor rises until at most this many pairs remain.
    """
    n = len(premise_nd)
    kept: list[np.ndarray] = []
    waiting, step = 0, max(1, _PAIR_CELLS // max(1, n))
    for start in range(0, n, step):
        block = premise_nd[start : start + step]
        for side, candidates in enumerate((positive_nd, hard_negative_nd)):
            cosines = block @ candidates.T
            if side == 0:
                own = np.arange(len(block))
                cosines[own, start + own] = -np.inf
            row, column = np.nonzero(cosines > floor)
            kept.append(_records(row + start, column, side, cosines[row, column]))
            waiting += len(row)
            if waiting > 4 * most:
                kept, floor = _strongest(kept, most, floor)
                waiting = len(kept[0])
    kept, floor = _strongest(kept, most, floor)
    pairs = kept[0][np.argsort(-kept[0]["cosine"], kind="stable")]
    return MaskedPairs(
        pairs["premise"], pairs["candidate"], pairs["side"].astype(bool), pairs["cosine"], floor, n * (2 * n - 1)
    )


def _records(premise: np.ndarray, candidate: np.ndarray, side: int, cosine: np.ndarray) -> np.ndarray:
    records = np.empty(len(premise), dtype=_PAIR_DTYPE)
    records["premise"], records["candidate"], records["side"], records["cosine"] = premise, candidate, side, cosine
    return records


def _strongest(kept: list[np.ndarray], most: int, floor: float) -> tuple[list[np.ndarray], float]:
    """Keep at most this many pairs; the new floor is the highest cosine left out, and no listed pair ties with it."""
    pairs = np.concatenate(kept) if kept else np.empty(0, dtype=_PAIR_DTYPE)
    if len(pairs) <= most:
        return [pairs], floor
    floor = float(-np.partition(-pairs["cosine"], most)[most])
    return [pairs[pairs["cosine"] > floor]], floor
