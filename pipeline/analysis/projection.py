"""Projections of sentence vectors to the plane, their quality, and groups and selections in them."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.evaluation.metrics import unit_rows

Method = Literal["umap", "pca"]

PCA_DIMENSIONS = 50
UMAP_NEIGHBOURS = 15
_LEAST_FOR_UMAP = 5
LEAST_TO_ALIGN = 2 * UMAP_NEIGHBOURS
"""Least number of distinct sentences for an aligned projection."""
_WORD = re.compile(r"[^\W\d_]{3,}")
_FIT_ROWS = 50_000


@dataclass(frozen=True, slots=True)
class ProjectionQuality:
    """Quality of a projection on a sample of its points; both measures lie in [0, 1], higher is better."""

    trustworthiness: float
    """How far neighbours in the plane are neighbours among the vectors (Venna and Kaski 2001)."""
    neighbour_recall: float
    """Mean share of a point's nearest vectors that are also nearest in the plane."""
    neighbours: int
    points: int
    """Size of the sample."""


def project(vectors: np.ndarray, *, method: Method = "umap", seed: int) -> np.ndarray:
    """Project vectors to the plane.

    UMAP works on the distances of unit vectors after PCA to 50 dimensions; below five distinct points there is no
    neighbourhood to learn, and PCA is used instead. Equal vectors get the same position: UMAP would spread copies of
    a sentence into a cloud.

    Args:
        vectors: float (n, d).
        method: "umap", or "pca" of the unit vectors.
        seed: the same seed gives the same projection on the same machine.

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
    unit = unit_rows(vectors, np.float32)
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
        seed: for the sample.
        neighbours: size of the neighbourhoods; smaller for small samples.
        sample: most points measured, as the cost grows with its square.

    Returns:
        NaN for both measures below four points.
    """
    rows = np.random.default_rng(seed).permutation(len(vectors))[:sample]
    unit, plane = unit_rows(np.asarray(vectors)[rows], np.float32), np.asarray(plane)[rows]
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
    """Return PCA scores, float32 (n, dimensions), of float (n, d) vectors; axes beyond their rank are zero."""
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
        # Distances of unit vectors order pairs as cosine does and, unlike cosines, survive PCA's shift of the origin.
        metric="euclidean",
        # The spectral start needs more points than its matrix has eigenvectors.
        init="spectral" if len(points) > UMAP_NEIGHBOURS else "random",
        random_state=seed,
        n_jobs=1,  # a seed forces one thread; naming it avoids a warning
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
    units = [unit_rows(space, np.float32) for space in spaces]
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


def cluster(vectors: np.ndarray, *, seed: int, count: int | None = None) -> np.ndarray:
    """Group vectors by direction with k-means after PCA to 50 dimensions, int16 (n,), largest group first.

    Args:
        vectors: float (n, d).
        seed: of the start.
        count: number of groups; by default about the square root of n / 10, between 2 and 24.
    """
    n = len(vectors)
    count = min(n, count or int(np.clip(np.sqrt(n / 10), 2, 24)))
    if count < 2:
        return np.zeros(n, dtype=np.int16)
    from sklearn.cluster import MiniBatchKMeans

    points = principal_axes(unit_rows(vectors, np.float32), PCA_DIMENSIONS, seed)
    rows = np.random.default_rng(seed).permutation(n)[:_FIT_ROWS]
    groups = MiniBatchKMeans(count, random_state=seed, n_init=3, batch_size=4096).fit(points[rows]).predict(points)
    order = np.argsort(-np.bincount(groups, minlength=count), kind="stable")
    rank = np.empty(count, dtype=np.int16)
    rank[order] = np.arange(count)
    return rank[groups]


def distinguishing_words(texts: Sequence[str], groups: np.ndarray, *, count: int = 3) -> list[str]:
    """Name each group by the words that are commonest in it against the rest, "beach, sand, children".

    The score of a word is p log(p / q) (1 - q)^4, with p its share of the group's sentences and q of all: rare words
    score low, and so do the small words that every text is full of, without a list of them for each language. A group
    without a word that sets it apart gets an empty name.
    """
    if len(texts) != len(groups):
        raise ValueError(f"expected as many texts as groups, got {len(texts)} and {len(groups)}")
    number = int(groups.max()) + 1 if len(groups) else 0
    inside, sizes = [Counter[str]() for _ in range(number)], np.bincount(groups, minlength=number)
    for text, group in zip(texts, groups, strict=True):
        inside[group].update(set(_WORD.findall(text.lower())))
    everywhere = Counter[str]()
    for counter in inside:
        everywhere.update(counter)
    names = []
    for counter, size in zip(inside, sizes, strict=True):
        scored = {
            word: _score(seen / size, everywhere[word] / len(texts)) for word, seen in counter.items() if seen > 1
        }
        ranked = sorted(scored, key=lambda word: (-scored[word], word))
        best = [word for word in ranked if scored[word] > 0][:count]
        names.append(", ".join(best))
    return names


def _score(inside: float, everywhere: float) -> float:
    return float(inside * np.log(inside / everywhere) * (1 - everywhere) ** 4)


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
