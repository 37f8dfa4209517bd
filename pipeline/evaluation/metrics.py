"""The geometry of an encoder's vectors, and the comparison of two encoders on the same pairs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from pipeline.statistics import Interval, holm, resample, spearman

_BLOCK_ROWS = 1024
_POSITIVE_SHARE = 0.8


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
    for start in range(0, len(unit), _BLOCK_ROWS):
        # On the unit sphere the squared distance is 2 - 2 cos.
        cosine = unit[start : start + _BLOCK_ROWS] @ unit.T
        total += float(np.exp(-2.0 * (2.0 - 2.0 * cosine)).sum())
    pairs = len(unit) * (len(unit) - 1)
    return float(np.log((total - len(unit)) / pairs))


def unit_rows(vectors: np.ndarray, dtype: type[np.floating] = np.float64) -> np.ndarray:
    """Scale the rows of float (n, d) to length one, in float64 unless asked otherwise; a zero row stays zero."""
    vectors = np.asarray(vectors, dtype=dtype)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, dtype(1))


def row_cosine(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine of corresponding rows of two (n, d) arrays, float64 (n,); 0 where a row is zero."""
    return np.einsum("nd,nd->n", unit_rows(first), unit_rows(second))


def triplet_cosines(
    premise: Sequence[str],
    positive: Sequence[str],
    hard_negative: Sequence[str],
    vectors: Callable[[Sequence[str]], np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Return cos(premise, positive) and cos(premise, hard negative), float64 (n,) each.

    `vectors` takes n texts and returns float (n, d).
    """
    anchor = vectors(premise)
    return row_cosine(anchor, vectors(positive)), row_cosine(anchor, vectors(hard_negative))


@dataclass(frozen=True, slots=True)
class ScoredPairs:
    """Gold scores of a task's pairs and what two encoders predict for them; all float (n,)."""

    gold: np.ndarray
    first: np.ndarray
    second: np.ndarray
    linked: np.ndarray
    """int (n,), from `statistics.clusters`: pairs that share a sentence are drawn together."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Spearman of the second encoder minus that of the first."""

    tasks: dict[str, Interval]
    average: Interval | None
    """For the mean of the tasks; None if the encoders share no task."""


def compare(tasks: Mapping[str, ScoredPairs], *, seed: int, resamples: int = 1000, level: float = 0.95) -> Comparison:
    """Compare two encoders on the tasks that both were scored on.

    Each task is resampled separately, since its pairs are a separate sample; a resample of the average is the mean of
    one resample per task. Tasks without a defined correlation are left out. The tasks are judged together (`holm`),
    the average by itself.
    """
    found: dict[str, Interval] = {}
    samples = []
    for number, (name, pairs) in enumerate(tasks.items()):
        if not np.isfinite(spearman(pairs.first, pairs.gold) + spearman(pairs.second, pairs.gold)):
            continue
        arms = {"first": [{name: pairs.first}], "second": [{name: pairs.second}]}
        linked = {name: pairs.linked}
        drawn = resample(arms, {name: pairs.gold}, linked=linked, seed=seed + number, resamples=resamples)
        found[name] = drawn.difference(["second"], ["first"], level=level)[name]
        samples.append(drawn.values["second"][name] - drawn.values["first"][name])
    if not found:
        return Comparison({}, None)
    mean = float(np.mean([item.value for item in found.values()]))
    adjusted = dict(zip(found, holm(list(found.values())), strict=True))
    return Comparison(adjusted, Interval.of(mean, np.mean(samples, axis=0), level))


@dataclass(frozen=True, slots=True)
class SpaceQuality:
    """Five measures of one encoder over one set of sentences."""

    sentences: int
    positives: int
    """Pairs whose gold score lies in the top fifth of the scale; alignment is measured on them."""
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
    """Measure a space on up to `sample` distinct sentences and on its positive pairs.

    Args:
        unit_ud: float (u, d), vectors of distinct sentences.
        first_pd: float (p, d), first sentences of positive pairs.
        second_pd: float (p, d), second sentences.
        seed: for the choice of sentences.
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
    """Mark the pairs in the top fifth of the range of their scores, bool (n,); all False if the scores are equal."""
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
    from scipy.stats import skew

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
    return float(skew(times)) if times.std() > 0 else 0.0


def effective_rank(vectors: np.ndarray) -> float:
    """Exponential of the entropy of the normalised singular values of the centred rows (Roy and Vetterli 2007)."""
    unit = unit_rows(vectors)
    values = np.linalg.svd(unit - unit.mean(axis=0), compute_uv=False)
    if not len(values) or values.sum() <= 0:
        return float("nan")
    share = values / values.sum()
    share = share[share > 0]
    return float(np.exp(-(share * np.log(share)).sum()))
