"""The geometry of vectors: cosines, alignment and uniformity."""

import numpy as np

_UNIFORMITY_BLOCK_ROWS = 1024


def alignment(first: np.ndarray, second: np.ndarray) -> float:
    """Mean squared distance of positive pairs on the unit sphere; 0 is perfect.

    E ||f(x) - f(x+)||^2, Wang and Isola (2020), arXiv 2005.10242, eq. 1 with exponent 2.
    first, second: float (n, d), not necessarily normalised.
    """
    first, second = unit_rows(first), unit_rows(second)
    return float(np.mean(np.sum((first - second) ** 2, axis=1)))


def uniformity(vectors: np.ndarray) -> float:
    """Log of the mean Gaussian potential over distinct pairs, log E exp(-2 ||f(x) - f(y)||^2); lower is more uniform.

    Wang and Isola (2020), arXiv 2005.10242, eq. 2 with t = 2. vectors: float (n, d), n >= 2.
    """
    if len(vectors) < 2:
        raise ValueError(f"uniformity needs at least two vectors, got {len(vectors)}")
    unit = unit_rows(vectors)
    total = 0.0
    for start in range(0, len(unit), _UNIFORMITY_BLOCK_ROWS):
        # On the unit sphere the squared distance is 2 - 2 cos.
        cosine = unit[start : start + _UNIFORMITY_BLOCK_ROWS] @ unit.T
        total += float(np.exp(-2.0 * (2.0 - 2.0 * cosine)).sum())
    pairs = len(unit) * (len(unit) - 1)
    return float(np.log((total - len(unit)) / pairs))


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Scale rows to length one in float64; a zero row stays zero."""
    vectors = np.asarray(vectors, dtype=np.float64)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1.0)


def row_cosine(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine of corresponding rows of two (n, d) arrays, float64 (n,); 0 where a row is zero."""
    return np.einsum("nd,nd->n", unit_rows(first), unit_rows(second))
