"""The same sentences under several encoders on one map: what moves on it moved in the space."""

from collections.abc import Sequence

import numpy as np

from pipeline.analysis.projection import PCA_DIMENSIONS, UMAP_NEIGHBOURS, distinct_rows, principal_axes, unit_rows

LEAST_TO_ALIGN = 2 * UMAP_NEIGHBOURS
"""Distinct sentences."""


def project_aligned(spaces: Sequence[np.ndarray], *, seed: int) -> list[np.ndarray]:
    """Project the same n sentences under each encoder to the plane, one drawing laid over the other.

    AlignedUMAP (Dadu et al. 2023, as in umap-learn) optimises all drawings at once and ties each sentence to itself
    in the next one. Separate drawings, even when turned onto each other, move sentences that did not move.

    Args:
        spaces: per encoder float (n, d_k), rows in the same order; rows equal under every encoder get one place.
        seed: the same seed gives the same drawings on the same machine.

    Returns:
        Per encoder float32 (n, 2).

    Raises:
        ValueError: for fewer than two spaces, spaces of different length, or too few sentences to align.
    """
    lengths = {len(space) for space in spaces}
    if len(spaces) < 2 or len(lengths) != 1:
        raise ValueError(f"expected two or more spaces of one length, got {[len(space) for space in spaces]}")
    units = [unit_rows(space) for space in spaces]
    first, place = distinct_rows(*units)
    if len(first) < LEAST_TO_ALIGN:
        raise ValueError(f"expected at least {LEAST_TO_ALIGN} distinct sentences to align, got {len(first)}")
    from umap import AlignedUMAP

    reduced = [principal_axes(unit[first], PCA_DIMENSIONS, seed) for unit in units]
    same = {row: row for row in range(len(first))}
    reducer = AlignedUMAP(n_neighbors=UMAP_NEIGHBOURS, metric="euclidean", random_state=seed)
    reducer.fit(reduced, relations=[same] * (len(spaces) - 1))
    return [np.asarray(drawing, dtype=np.float32)[place] for drawing in reducer.embeddings_]


def displacement(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """How far each point moves between two drawings, in units of the first one's spread, float32 (n,).

    The spread is the root of the mean squared distance from the centre.
    """
    spread = np.sqrt(((before - before.mean(axis=0)) ** 2).sum(axis=1).mean())
    return (np.linalg.norm(after - before, axis=1) / max(float(spread), 1e-12)).astype(np.float32)
