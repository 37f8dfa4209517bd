"""Groups of like sentences in the full space, each called by the words that set it apart."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from pipeline.analysis.projection import principal_axes, unit_rows

_WORD = re.compile(r"[^\W\d_]{3,}")
_FIT_ROWS = 50_000
_DIMENSIONS = 50


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

    points = principal_axes(unit_rows(vectors), _DIMENSIONS, seed)
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
