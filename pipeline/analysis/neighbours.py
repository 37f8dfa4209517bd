"""Nearest sentences in the full space, and how many of them another encoder keeps."""

from collections.abc import Callable, Sequence

import numpy as np

_BLOCK_CELLS = 1 << 24


def nearest(unit_ud: np.ndarray, query_d: np.ndarray, *, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows with the highest cosine to one query, nearest first; ties in the order of the rows.

    Args:
        unit_ud: float (u, d), rows of length one; may be a memory map of half floats, read in blocks.
        query_d: float (d,), of length one.
        count: how many; fewer when there are fewer rows.

    Returns:
        Rows int64 (k,) and their cosines float32 (k,).
    """
    query_d = np.asarray(query_d, dtype=np.float32)
    rows = max(1, _BLOCK_CELLS // max(1, unit_ud.shape[1]))
    parts = [
        np.asarray(unit_ud[start : start + rows], dtype=np.float32) @ query_d
        for start in range(0, len(unit_ud), rows)
    ]
    cosines = np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)
    order = np.argsort(-cosines, kind="stable")[:count]
    return order, cosines[order]


def neighbour_table(
    unit_nd: np.ndarray, *, count: int, on_block: Callable[[int], None] = lambda rows: None
) -> np.ndarray:
    """The nearest other rows of every row by cosine, exact, in blocks: int32 (n, k), in no order within a row.

    k is `count`, or n - 1 where there are fewer rows. `on_block` is told how many rows are done.
    """
    n = len(unit_nd)
    k = min(count, n - 1)
    if k < 1:
        return np.zeros((n, 0), dtype=np.int32)
    unit_nd = np.asarray(unit_nd, dtype=np.float32)
    table = np.empty((n, k), dtype=np.int32)
    step = max(1, _BLOCK_CELLS // n)
    for start in range(0, n, step):
        block = unit_nd[start : start + step] @ unit_nd.T
        own = np.arange(len(block))
        block[own, start + own] = -np.inf
        table[start : start + step] = np.argpartition(-block, k - 1, axis=1)[:, :k]
        on_block(min(n, start + step))
    return table


def neighbours_kept(before_nk: np.ndarray, after_nk: np.ndarray) -> np.ndarray:
    """Share of each row's neighbours that are its neighbours in the other table too, float32 (n,) in [0, 1].

    Computed in the full space. A map keeps about a fifth of the neighbours, so nothing should be measured on it.
    Without neighbours (one row) nothing is lost: 1.
    """
    if before_nk.shape != after_nk.shape:
        raise ValueError(f"expected tables of one shape, got {before_nk.shape} and {after_nk.shape}")
    n, k = before_nk.shape
    if k == 0:
        return np.ones(n, dtype=np.float32)
    both = np.sort(np.concatenate([before_nk, after_nk], axis=1), axis=1)
    return ((both[:, 1:] == both[:, :-1]).sum(axis=1) / k).astype(np.float32)


def closest_by_words(wanted: Sequence[str], among: Sequence[str], *, count: int) -> list[int]:
    """Return the rows of up to `count` texts that share most with any of the wanted ones, best first.

    Cosine of tf-idf vectors of words, idf over `among`; the highest of the cosines with the wanted texts counts.
    Texts that share no word with any of them are left out. Words are runs of letters or digits, in lower case.
    """
    if not wanted or not among or count < 1:
        return []
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(token_pattern=r"(?u)\b\w+\b", sublinear_tf=True)
    try:
        rows = vectorizer.fit_transform(among)
    except ValueError:
        return []  # not a single word in any of them
    best = np.asarray((rows @ vectorizer.transform(wanted).T).max(axis=1).todense()).ravel()
    order = np.argsort(-best, kind="stable")[:count]
    return [int(row) for row in order if best[row] > 0]
