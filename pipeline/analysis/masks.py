"""Which candidates a mask threshold phi would remove from the loss, for every phi at once, before training."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

KINDS = ("in-batch positive", "in-batch hard negative", "own hard negative")
BINS = 2000
"""Cosines are counted in steps of 0.001."""
_PREVIEW_CELLS, _PAIR_CELLS = 1 << 22, 1 << 23
"""Cosines held at a time."""
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
    """Premises compared with all candidates; a sample of a large set."""
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

    A mask at phi takes out the candidates with a cosine above phi (MultiCSR, arXiv 2310.10962, stage 3, m_ij); the
    own positive never is a candidate. Rows meet in a batch at random, so the share of all pairs above phi is the
    expected share masked in a batch.

    Args:
        premise_nd: float32 (n, d), guide vectors of length one; the next two alike.
        positive_nd: float32 (n, d).
        hard_negative_nd: float32 (n, d).
        random_cosines: cosines of random pairs of texts under the same guide.
        seed: of the sample of premises and of the examples.
        most_premises: premises that are compared; of more, so many are drawn.
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
    """Share of the counted cosines at or above each lower edge of a bin, float64 (bins,)."""
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
    """A few candidates of every band of cosines, so that a page has some at any phi."""

    def __init__(self, generator: np.random.Generator, per_band: int) -> None:
        self._generator, self._per_band = generator, per_band
        self._kept: dict[tuple[str, int], list[tuple[float, int, int]]] = {}

    def add(self, kind: str, cosine: np.ndarray, rows: np.ndarray, columns: np.ndarray | None) -> None:
        """Take candidates of a block: cosine (rows, candidates); `columns` names the candidates' rows if not 0..n."""
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
        """Return all examples, the highest cosine first."""
        found = [
            {"kind": kind, "cosine": cosine, "premise": premise, "candidate": candidate}
            for (kind, _), kept in self._kept.items()
            for cosine, premise, candidate in kept
        ]
        return sorted(found, key=lambda item: -item["cosine"])


@dataclass(frozen=True, slots=True)
class MaskedPairs:
    """The pairs of a premise and a candidate with the highest guide cosine, in falling order."""

    premise: np.ndarray
    """int32 (pairs,): number of the triplet the premise belongs to."""
    candidate: np.ndarray
    """int32 (pairs,): number of the triplet the candidate belongs to."""
    is_hard_negative: np.ndarray
    """bool (pairs,): the candidate is that triplet's hard negative, else its positive."""
    cosine: np.ndarray
    """float32 (pairs,)."""
    floor: float
    """Every pair above this cosine is listed, so counts are exact from here up."""
    candidates: int
    """Number of all pairs that were compared."""


def masked_pairs(
    premise_nd: np.ndarray,
    positive_nd: np.ndarray,
    hard_negative_nd: np.ndarray,
    *,
    floor: float = 0.5,
    most: int = 50_000,
) -> MaskedPairs:
    """Find every pair (premise i, candidate of triplet j) whose guide cosine exceeds a floor.

    Candidates are all positives but the own one and all hard negatives, as in the loss (MultiCSR, arXiv 2310.10962,
    stage 3, m_ij): phi masks exactly the pairs with a cosine above phi, whenever both triplets share a batch.

    Args:
        premise_nd: float32 (n, d), guide vectors of length one; the other two alike.
        positive_nd: float32 (n, d).
        hard_negative_nd: float32 (n, d).
        floor: lowest cosine kept.
        most: the floor rises until no more pairs than this remain.
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
    """Keep at most this many; the new floor is the highest cosine left out, so that no listed pair ties with it."""
    pairs = np.concatenate(kept) if kept else np.empty(0, dtype=_PAIR_DTYPE)
    if len(pairs) <= most:
        return [pairs], floor
    floor = float(-np.partition(-pairs["cosine"], most)[most])
    return [pairs[pairs["cosine"] > floor]], floor
