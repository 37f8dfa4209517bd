"""Numbers about the shape of an embedding space: context for a score, never a ranking of encoders."""

from dataclasses import asdict, dataclass

import numpy as np

from pipeline.evaluation.metrics import alignment, uniformity, unit_rows

_POSITIVE_SHARE = 0.8
_BLOCK_ROWS = 1024


@dataclass(frozen=True, slots=True)
class SpaceQuality:
    """Five measures of one encoder over one set of sentences."""

    sentences: int
    positives: int
    """Pairs whose gold score lies in the top fifth of the scale: the alignment is theirs."""
    alignment: float
    uniformity: float
    anisotropy: float
    hubness: float
    effective_rank: float

    def as_dict(self) -> dict[str, float]:
        """Return the fields as plain numbers."""
        return asdict(self)


def space_quality(
    unit_ud: np.ndarray, first_pd: np.ndarray, second_pd: np.ndarray, *, seed: int, sample: int = 2000
) -> SpaceQuality:
    """Measure a space on up to `sample` different sentences and on its positive pairs.

    Args:
        unit_ud: float (u, d), vectors of different sentences.
        first_pd: float (p, d), first sentences of positive pairs.
        second_pd: float (p, d), second sentences.
        seed: of the choice of sentences.
        sample: most sentences used; hubness depends on it, so compare equal samples only.
    """
    rows = np.random.default_rng(seed).permutation(len(unit_ud))[:sample]
    unit = unit_rows(unit_ud[np.sort(rows)])
    return SpaceQuality(
        sentences=len(unit),
        positives=len(first_pd),
        alignment=alignment(first_pd, second_pd) if len(first_pd) else float("nan"),
        uniformity=uniformity(unit) if len(unit) > 1 else float("nan"),
        anisotropy=anisotropy(unit),
        hubness=hubness(unit),
        effective_rank=effective_rank(unit),
    )


def is_positive(gold: np.ndarray) -> np.ndarray:
    """Which pairs lie in the top fifth of the scale they span, bool (n,); none where all scores are equal."""
    gold = np.asarray(gold, dtype=np.float64)
    if len(gold) == 0 or np.ptp(gold) == 0:
        return np.zeros(len(gold), dtype=bool)
    return gold >= gold.min() + _POSITIVE_SHARE * np.ptp(gold)


def anisotropy(vectors: np.ndarray) -> float:
    """Mean cosine of two different rows; 0 for directions spread evenly (Ethayarajh 2019, arXiv 1909.00512)."""
    unit = unit_rows(vectors)
    n = len(unit)
    if n < 2:
        return float("nan")
    total = unit.sum(axis=0)
    return float((total @ total - (unit * unit).sum()) / (n * (n - 1)))


def hubness(vectors: np.ndarray, *, neighbours: int = 10) -> float:
    """Skewness of how often a row is among the nearest of others (Radovanovic et al. 2010); 0 means no hubs."""
    unit = unit_rows(vectors).astype(np.float32)
    k = min(neighbours, len(unit) - 1)
    if k < 1:
        return float("nan")
    times = np.zeros(len(unit))
    for start in range(0, len(unit), _BLOCK_ROWS):
        cosine = unit[start : start + _BLOCK_ROWS] @ unit.T
        own = np.arange(len(cosine))
        cosine[own, start + own] = -np.inf
        nearest = np.argpartition(-cosine, k - 1, axis=1)[:, :k]
        times += np.bincount(nearest.ravel(), minlength=len(unit))
    centred = times - times.mean()
    spread = times.std()
    return float((centred**3).mean() / spread**3) if spread > 0 else 0.0


def effective_rank(vectors: np.ndarray) -> float:
    """Exponential of the entropy of the normalised singular values of the centred rows (Roy and Vetterli 2007)."""
    unit = unit_rows(vectors)
    values = np.linalg.svd(unit - unit.mean(axis=0), compute_uv=False)
    if not len(values) or values.sum() <= 0:
        return float("nan")
    share = values / values.sum()
    share = share[share > 0]
    return float(np.exp(-(share * np.log(share)).sum()))
