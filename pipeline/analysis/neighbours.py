"""Nearest sentences in the full space, and how many of them another encoder keeps."""

from collections.abc import Callable, Sequence

import numpy as np

_BLOCK_CELLS = 1 << 24


def nearest(unit_ud: np.ndarray, query_d: np.ndarray, *, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows with the highest cosine to a query, nearest first; ties keep the order of the rows.

    Args:
        unit_ud: float (u, d), unit rows; may be a float16 memory map, which is read in blocks.
        query_d: float (d,), a unit vector.
        count: most rows returned.

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
    """Return the exact nearest other rows of every row by cosine: int32 (n, k), unordered within a row.

    unit_nd: float (n, d), unit rows. k is `count`, or n - 1 if there are fewer rows. `on_block` is called with the
    number of finished rows.
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
    """Return the share of each row's neighbours that are also in the other table, float32 (n,) in [0, 1].

    before_nk, after_nk: int32 (n, k) from `neighbour_table`, thus in the full space: a map keeps only about a fifth
    of the neighbours and is no basis for measurement. Without neighbours (a single row) the share is 1.
    """
    if before_nk.shape != after_nk.shape:
        raise ValueError(f"expected tables of one shape, got {before_nk.shape} and {after_nk.shape}")
    n, k = before_nk.shape
    if k == 0:
        return np.ones(n, dtype=np.float32)
    both = np.sort(np.concatenate([before_nk, after_nk], axis=1), axis=1)
    return ((both[:, 1:] == both[:, :-1]).sum(axis=1) / k).astype(np.float32)


def closest_by_words(wanted: Sequence[str], among: Sequence[str], *, count: int) -> list[int]:
    """Return the indices of up to `count` texts most similar to any of the wanted ones, best first.

    A text's similarity is its highest cosine with a wanted text, between tf-idf vectors of words with idf over
    `among`. Texts that share no word are left out. Words are lower-case runs of letters or digits.
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
