"""Sentence vectors drawn in two dimensions, and how far the drawing can be trusted."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

Method = Literal["umap", "pca"]

PCA_DIMENSIONS = 50
UMAP_NEIGHBOURS = 15
_LEAST_FOR_UMAP = 5


@dataclass(frozen=True, slots=True)
class ProjectionQuality:
    """Measured on a sample of the points; both in [0, 1], higher is better."""

    trustworthiness: float
    """Whether neighbours in the drawing are neighbours among the vectors (Venna and Kaski 2001)."""
    neighbour_recall: float
    """Mean share of a point's nearest vectors that are also nearest in the drawing."""
    neighbours: int
    points: int
    """Size of the sample."""


def project(vectors: np.ndarray, *, method: Method = "umap", seed: int) -> np.ndarray:
    """Project vectors to the plane.

    UMAP works on the distances of unit vectors after PCA to 50 dimensions; below five distinct points there is no
    neighbourhood to learn, and PCA is used instead. Equal vectors get one place: UMAP would spread copies of a
    sentence into a cloud.

    Args:
        vectors: float (n, d).
        method: "umap", or "pca" of the unit vectors.
        seed: the same seed gives the same drawing on the same machine.

    Returns:
        float32 (n, 2).

    Raises:
        ValueError: for another method or vectors that are not finite.
    """
    vectors = np.asarray(vectors, dtype=np.float32)
    if vectors.ndim != 2 or not np.isfinite(vectors).all():
        raise ValueError(f"expected finite vectors of shape (n, d), got shape {vectors.shape}")
    if method not in ("umap", "pca"):
        raise ValueError(f"unknown method {method!r}; choose umap or pca")
    unit = unit_rows(vectors)
    if method == "pca":
        return principal_axes(unit, 2, seed)
    first, place = distinct_rows(unit)
    if len(first) < _LEAST_FOR_UMAP:
        return principal_axes(unit[first], 2, seed)[place]
    return _umap(principal_axes(unit[first], PCA_DIMENSIONS, seed), seed)[place]


def quality(
    vectors: np.ndarray, plane: np.ndarray, *, seed: int = 0, neighbours: int = 10, sample: int = 2000
) -> ProjectionQuality:
    """Measure a projection on a random sample of its points.

    Args:
        vectors: float (n, d), what was projected; compared by cosine.
        plane: float (n, 2), its projection.
        seed: of the sample.
        neighbours: size of the neighbourhoods; fewer where the sample is small.
        sample: most points measured, as the cost grows with its square.

    Returns:
        NaN for both measures below four points, where neighbourhoods mean nothing.
    """
    rows = np.random.default_rng(seed).permutation(len(vectors))[:sample]
    unit, plane = unit_rows(np.asarray(vectors, dtype=np.float32)[rows]), np.asarray(plane)[rows]
    # Trustworthiness is defined for fewer neighbours than half the points.
    neighbours = min(neighbours, (len(rows) - 1) // 2)
    if neighbours < 1:
        return ProjectionQuality(float("nan"), float("nan"), 0, len(rows))
    from sklearn.manifold import trustworthiness

    return ProjectionQuality(
        # On unit vectors Euclidean distance orders pairs as cosine does.
        trustworthiness=float(trustworthiness(unit, plane, n_neighbors=neighbours)),
        neighbour_recall=_neighbour_recall(unit, plane, neighbours),
        neighbours=neighbours,
        points=len(rows),
    )


def _neighbour_recall(unit: np.ndarray, plane: np.ndarray, neighbours: int) -> float:
    from sklearn.neighbors import NearestNeighbors

    near = [
        NearestNeighbors(n_neighbors=neighbours).fit(points).kneighbors(return_distance=False)
        for points in (unit, plane)
    ]
    shared = [len(np.intersect1d(high, low)) for high, low in zip(*near, strict=True)]
    return float(np.mean(shared) / neighbours)


def principal_axes(unit: np.ndarray, dimensions: int, seed: int) -> np.ndarray:
    """PCA scores float32 (n, dimensions) of float (n, d) vectors; axes the vectors do not have are flat."""
    from sklearn.decomposition import PCA

    possible = min(dimensions, *unit.shape)
    if len(unit) < 2 or possible < 1 or np.ptp(unit, axis=0).max() == 0:
        return np.zeros((len(unit), dimensions), dtype=np.float32)
    points = PCA(n_components=possible, random_state=seed).fit_transform(unit)
    return np.pad(points, ((0, 0), (0, dimensions - possible))).astype(np.float32)


def _umap(points: np.ndarray, seed: int) -> np.ndarray:
    from umap import UMAP

    reducer = UMAP(
        n_components=2,
        n_neighbors=min(UMAP_NEIGHBOURS, len(points) - 1),
        # Distances of unit vectors survive PCA's shift of the origin and order pairs as cosine does; cosines do not.
        metric="euclidean",
        # The spectral start needs more points than its matrix has eigenvectors.
        init="spectral" if len(points) > UMAP_NEIGHBOURS else "random",
        random_state=seed,
        n_jobs=1,  # a seed forces one thread; saying so avoids a warning
    )
    return np.asarray(reducer.fit_transform(points), dtype=np.float32)


def distinct_rows(*spaces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first row of every group of equal rows, int64 (m,), and each row's group, int64 (n,).

    Rows of several spaces (n, d_k) are equal where they are in all of them.
    """
    groups: dict[bytes, int] = {}
    keys = (b"".join((space[row] + 0.0).tobytes() for space in spaces) for row in range(len(spaces[0])))
    place = np.array([groups.setdefault(key, len(groups)) for key in keys], dtype=np.int64)
    return np.unique(place, return_index=True)[1], place


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Rows of float (n, d) scaled to length one; a zero row stays zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1.0)
