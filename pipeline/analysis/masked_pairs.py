"""Pairs of sentences that a mask threshold takes for false negatives when they meet in a batch."""

from dataclasses import dataclass

import numpy as np

_BLOCK_CELLS = 1 << 23


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
    waiting, step = 0, max(1, _BLOCK_CELLS // max(1, n))
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


_RECORD = np.dtype([("premise", "i4"), ("candidate", "i4"), ("side", "u1"), ("cosine", "f4")])


def _records(premise: np.ndarray, candidate: np.ndarray, side: int, cosine: np.ndarray) -> np.ndarray:
    records = np.empty(len(premise), dtype=_RECORD)
    records["premise"], records["candidate"], records["side"], records["cosine"] = premise, candidate, side, cosine
    return records


def _strongest(kept: list[np.ndarray], most: int, floor: float) -> tuple[list[np.ndarray], float]:
    """Keep at most this many; the new floor is the highest cosine left out, so that no listed pair ties with it."""
    pairs = np.concatenate(kept) if kept else np.empty(0, dtype=_RECORD)
    if len(pairs) <= most:
        return [pairs], floor
    floor = float(-np.partition(-pairs["cosine"], most)[most])
    return [pairs[pairs["cosine"] > floor]], floor
