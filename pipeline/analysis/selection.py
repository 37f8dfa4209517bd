"""What sets some texts apart from the rest: words, lengths and other properties, ranked by how well they separate.

Every property is measured by one number, the correlation of its values with being selected. For a property that a
text has or lacks, this is the phi coefficient; for a number such as a length, the point-biserial correlation. So
words, lengths and slices can stand in one list.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.analysis.slices import Sentence
from pipeline.statistics import Interval, holm

_LEAST_TEXTS = 5
"""A rarer word is a matter of single texts."""
_MOST_WORDS = 500


@dataclass(frozen=True, slots=True)
class Feature:
    """One property of texts, inside and outside of a selection."""

    name: str
    inside: float
    """Mean over the selected texts: a share for a property that a text has or lacks."""
    outside: float
    correlation: Interval
    """With being selected, in [-1, 1]; p is adjusted for all properties that were looked at (Holm)."""


def word_features(texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Return word -> whether each text has it, bool (n,); the most frequent words, none that is rare or in all."""
    found = [set(Sentence(text).words) for text in texts]
    counts = Counter(word for words in found for word in words)
    chosen = [word for word, count in counts.most_common(_MOST_WORDS) if _LEAST_TEXTS <= count < len(texts)]
    place = {word: column for column, word in enumerate(chosen)}
    has = np.zeros((len(chosen), len(texts)), dtype=bool)
    for row, words in enumerate(found):
        for word in words & place.keys():
            has[place[word], row] = True
    return {f"“{word}”": has[column] for word, column in place.items()}


def lengths(texts: Sequence[str]) -> np.ndarray:
    """Return the number of words of each text, float (n,)."""
    return np.array([len(Sentence(text).words) for text in texts], dtype=float)


def set_apart(
    selected: np.ndarray, features: Mapping[str, np.ndarray], *, groups: np.ndarray | None = None
) -> list[Feature]:
    """Return the properties by the size of their correlation with the selection, largest first.

    Args:
        selected: bool (n,), which texts are selected; some and not all.
        features: name -> values, bool or float (n,).
        groups: int (n,), texts of one group are not independent (`pipeline.statistics.clusters`). The intervals
            count groups, not texts, which makes them wide where groups are large.

    Returns:
        A Feature each with Fisher's 95 % interval; properties that do not vary are left out.
    """
    if not features or selected.all() or not selected.any():
        return []
    count = len(selected) if groups is None else len(np.unique(groups))
    names = list(features)
    values = np.stack([np.asarray(features[name], dtype=np.float32) for name in names])
    varies = np.ptp(values, axis=1) > 0
    names, values = [name for name, use in zip(names, varies, strict=True) if use], values[varies]
    if not names:
        return []
    inside, outside = values[:, selected].mean(axis=1), values[:, ~selected].mean(axis=1)
    share = selected.mean()
    found = (inside - outside) * np.sqrt(share * (1 - share)) / values.std(axis=1)
    intervals = holm([_fisher(float(np.clip(value, -1, 1)), count) for value in found])
    order = np.argsort(-np.abs(found), kind="stable")
    return [Feature(names[i], float(inside[i]), float(outside[i]), intervals[i]) for i in order]


def _fisher(value: float, count: int) -> Interval:
    """Return a correlation of `count` values with its interval by Fisher's z and the p value of none."""
    from scipy.stats import norm

    if count <= 3 or abs(value) == 1:
        return Interval(value, value if abs(value) == 1 else -1.0, value if abs(value) == 1 else 1.0)
    centre, spread = np.arctanh(value), 1 / np.sqrt(count - 3)
    low, high = np.tanh([centre - norm.ppf(0.975) * spread, centre + norm.ppf(0.975) * spread])
    return Interval(value, float(low), float(high), float(2 * norm.sf(abs(centre) / spread)))
