"""Which points of a plane lie inside a drawn region."""

import numpy as np


def inside(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Whether each point lies inside a closed polygon, by the even-odd rule.

    Each edge flips the points whose ray to the right crosses it. With the points in order of y, the points beside an
    edge are one slice, so the work grows with the points an edge passes and not with points times edges.
    A point exactly on an edge belongs to one of the two sides, always the same.

    Args:
        points: float (n, 2).
        polygon: float (m, 2), its corners in order; the last one is joined to the first.

    Returns:
        bool (n,).

    Raises:
        ValueError: for another shape, or corners that are not finite.
    """
    points, polygon = np.asarray(points, dtype=np.float64), np.asarray(polygon, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or polygon.ndim != 2 or polygon.shape[1:] != (2,):
        raise ValueError(f"expected shapes (n, 2) and (m, 2), got {points.shape} and {polygon.shape}")
    if not np.isfinite(polygon).all():
        raise ValueError("expected finite corners")
    found = np.zeros(len(points), dtype=bool)
    if len(polygon) < 3:
        return found
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    near = np.flatnonzero(((points >= low) & (points <= high)).all(axis=1))
    near = near[np.argsort(points[near, 1], kind="stable")]
    x, y = points[near].T
    crossed = np.zeros(len(near), dtype=bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        # Half open, so that a corner counts for one of its two edges.
        beside = slice(*np.searchsorted(y, sorted((y0, y1))))
        crossed[beside] ^= x[beside] < x0 + (y[beside] - y0) * ((x1 - x0) / (y1 - y0))
    found[near] = crossed
    return found
