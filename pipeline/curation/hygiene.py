"""Faults of a set of triplets: duplicates, sentences of test sets, and sides that copy each other.

Near duplicates share four-letter sequences. Candidate pairs come from minhash signatures in bands (Broder 1997;
Leskovec et al., Mining of Massive Datasets, section 3.4); the Jaccard similarity of each is then computed exactly.
"""

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from unicodedata import normalize

import numpy as np
import pandas as pd

from pipeline.evaluation.sts import StsTask
from pipeline.records import Triplet

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

SIDES: Final = ("premise", "positive", "hard_negative")
EXACT, NEAR = "exact", "near"
NEAR_COPY: Final = 0.9
"""Least Jaccard similarity of letter sequences at which a positive is a near copy of its premise."""
COPIES: Final = {
    "positive_copy": "positive equals the premise",
    "positive_near_copy": "positive nearly equals the premise",
    "hard_negative_copy": "hard negative equals the premise",
    "sides_equal": "positive and hard negative are equal",
}
"""Findings of `copies` by id, in words. Case, punctuation and spaces never count."""


@dataclass(frozen=True, slots=True)
class Leak:
    """A sentence of a triplet that also occurs in an evaluation task."""

    triplet: int
    side: str
    task: str
    sentence: str
    similarity: float
    """1 for equal up to case, punctuation and spaces; otherwise the Jaccard similarity of letter sequences."""


def duplicate_groups(
    triplets: Sequence[Triplet], *, threshold: float = 0.8, on_texts: Callable[[int], None] = lambda done: None
) -> pd.DataFrame:
    """Find groups of equal and nearly equal triplets.

    Returns:
        Columns group (number), kind (exact: equal up to case, punctuation and spaces; near: similar letter sequences
        over all three sentences, chained), triplet (index), similarity (to the group's most similar other member).
        A near group holds at least two triplets that are not exact duplicates of each other.
    """
    keys = [tuple(normalised(getattr(triplet, side)) for side in SIDES) for triplet in triplets]
    rows: list[tuple[int, str, int, float]] = []
    exact = equal_groups(keys)
    for number, group in enumerate(exact):
        rows += [(number, EXACT, place, 1.0) for place in group]
    first = np.array(sorted({group[0] for group in exact} | set(range(len(keys))) - {p for g in exact for p in g}))
    pairs, similarity = near_pairs(
        [" | ".join(keys[place]) for place in first], threshold=threshold, on_texts=on_texts
    )
    closest = np.zeros(len(first))
    np.maximum.at(closest, pairs.ravel(), np.repeat(similarity, 2))
    for number, group in enumerate(joined_groups(pairs, len(first)), start=len(exact)):
        rows += [(number, NEAR, int(first[place]), float(closest[place])) for place in group]
    return pd.DataFrame(rows, columns=["group", "kind", "triplet", "similarity"])


def leaks(triplets: Sequence[Triplet], tasks: Sequence[StsTask], *, threshold: float = 0.8) -> list[Leak]:
    """Find sentences that occur in evaluation tasks: equal ones on any side, and nearly equal premises."""
    tested: dict[str, tuple[str, str]] = {}
    for task in tasks:
        for sentence in (*task.sentence1, *task.sentence2):
            tested.setdefault(normalised(sentence), (task.name, sentence))
    tested.pop("", None)
    found = [
        Leak(place, side, *tested[key], 1.0)
        for place, triplet in enumerate(triplets)
        for side in SIDES
        if (key := normalised(getattr(triplet, side))) in tested
    ]
    premises: dict[str, list[int]] = {}
    for place, triplet in enumerate(triplets):
        premises.setdefault(normalised(triplet.premise), []).append(place)
    ours, theirs = [key for key in premises if key not in tested], list(tested)
    pairs, similarity = near_pairs([*ours, *theirs], threshold=threshold)
    for (one, other), value in zip(pairs.tolist(), similarity.tolist(), strict=True):
        if one < len(ours) <= other:
            task_name, sentence = tested[theirs[other - len(ours)]]
            found += [Leak(place, "premise", task_name, sentence, value) for place in premises[ours[one]]]
    return found


def copies(triplets: Sequence[Triplet]) -> list[tuple[int, str]]:
    """Return (index, finding of COPIES) for triplets whose sides repeat each other; a triplet may have two."""
    found: list[tuple[int, str]] = []
    for place, triplet in enumerate(triplets):
        premise, positive, hard_negative = (normalised(getattr(triplet, side)) for side in SIDES)
        if positive == premise:
            found.append((place, "positive_copy"))
        elif _overlap(premise, positive) >= NEAR_COPY:
            found.append((place, "positive_near_copy"))
        if hard_negative == premise:
            found.append((place, "hard_negative_copy"))
        if hard_negative == positive:
            found.append((place, "sides_equal"))
    return found


def _overlap(first: str, second: str) -> float:
    one, other = ({text[i : i + 4] for i in range(len(text) - 3)} for text in (first, second))
    return len(one & other) / len(one | other) if one and other else 0.0


_WORD = re.compile(r"\w+")
_LETTERS = 4
_FEATURES = 1 << 20
_BANDS, _ROWS = 20, 4
"""A pair of similarity s becomes a candidate with probability 1 - (1 - s^4)^20: 0.99996 at 0.8, 0.12 at 0.3."""
_ALL_PAIRS_BELOW = 64
"""In a larger bucket every member is compared only with the first; other bands give it further chances."""
_CHUNK = 20_000


def normalised(text: str) -> str:
    """Return the lower-case words separated by single spaces: case, punctuation and spacing do not count."""
    return " ".join(_WORD.findall(normalize("NFC", text).casefold()))


def equal_groups(keys: Sequence[Hashable]) -> list[list[int]]:
    """Return the indices of keys that occur more than once, in groups by first occurrence."""
    places: dict[Hashable, list[int]] = {}
    for place, key in enumerate(keys):
        places.setdefault(key, []).append(place)
    return [group for group in places.values() if len(group) > 1]


def near_pairs(
    texts: Sequence[str], *, threshold: float = 0.8, on_texts: Callable[[int], None] = lambda done: None
) -> tuple[np.ndarray, np.ndarray]:
    """Return index pairs (i < j) of texts at least this similar, int64 (pairs, 2), and the similarities.

    Args:
        texts: normalised texts; texts of fewer than four characters have no near pairs.
        threshold: least Jaccard similarity, in (0, 1].
        on_texts: called with the number of texts read so far.

    Returns:
        Pairs in ascending order and float64 (pairs,). Pairs are missed with the probability given at _BANDS.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"the threshold must lie in (0, 1], got {threshold}")
    signatures, features = _signatures(texts, on_texts)
    candidates = _candidates(signatures)
    if not len(candidates):
        return np.zeros((0, 2), np.int64), np.zeros(0)
    similarity = _jaccard(features, candidates)
    kept = similarity >= threshold
    return candidates[kept], similarity[kept]


def joined_groups(pairs: np.ndarray, count: int) -> list[list[int]]:
    """Return the groups of indices below `count` that chains of pairs connect; pairs: int64 (pairs, 2)."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if not len(pairs):
        return []
    links = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, label = connected_components(links, directed=False)
    touched = np.unique(pairs)
    return [touched[group].tolist() for group in equal_groups(label[touched].tolist())]


def _signatures(texts: Sequence[str], on_texts: Callable[[int], None]) -> tuple[np.ndarray, "csr_matrix"]:
    """Minhash signatures uint32 (n, bands * rows) and the sets themselves; an empty set has the highest value."""
    from scipy.sparse import csr_matrix, vstack
    from sklearn.feature_extraction.text import HashingVectorizer

    reader = HashingVectorizer(
        analyzer="char",
        ngram_range=(_LETTERS, _LETTERS),
        n_features=_FEATURES,
        binary=True,
        norm=None,
        alternate_sign=False,
    )
    generator = np.random.default_rng(0)
    factor = generator.integers(1, 1 << 32, _BANDS * _ROWS, dtype=np.uint64) | np.uint64(1)
    offset = generator.integers(0, 1 << 32, _BANDS * _ROWS, dtype=np.uint64)
    signatures, parts = [], []
    for start in range(0, len(texts), _CHUNK):
        sets = reader.transform(texts[start : start + _CHUNK])
        parts.append(sets)
        signatures.append(_minima(sets, factor, offset))
        on_texts(min(start + _CHUNK, len(texts)))
    if not parts:
        return np.zeros((0, _BANDS * _ROWS), np.uint32), csr_matrix((0, _FEATURES))
    return np.concatenate(signatures), vstack(parts, format="csr")


def _minima(sets: "csr_matrix", factor: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Smallest hash of each set under every hash function, uint32 (n, bands * rows)."""
    filled = np.diff(sets.indptr) > 0
    result = np.full((sets.shape[0], len(factor)), np.iinfo(np.uint32).max, dtype=np.uint32)
    if not filled.any():
        return result
    members, starts = sets.indices.astype(np.uint64), sets.indptr[:-1][filled]
    for column, (a, b) in enumerate(zip(factor, offset, strict=True)):
        hashed = ((members * a + b) >> np.uint64(16)).astype(np.uint32)  # multiply-shift, uint64 wraps around
        result[filled, column] = np.minimum.reduceat(hashed, starts)
    return result


def _candidates(signatures: np.ndarray) -> np.ndarray:
    """Return the pairs that share a band of their signatures, int64 (pairs, 2), each once, in ascending order."""
    found: list[np.ndarray] = []
    usable = np.flatnonzero((signatures != np.iinfo(np.uint32).max).any(axis=1))
    for band in range(_BANDS):
        rows = np.ascontiguousarray(signatures[usable, band * _ROWS : (band + 1) * _ROWS])
        # Each row of a band as one opaque value: equal bands can then be found by sorting.
        keys = rows.view(np.dtype((np.void, rows.dtype.itemsize * _ROWS))).ravel()
        order = np.argsort(keys, kind="stable")
        edges = np.flatnonzero(keys[order][1:] != keys[order][:-1]) + 1
        for bucket in np.split(order, edges):
            if len(bucket) > 1:
                found.append(_bucket_pairs(usable[bucket]))
    if not found:
        return np.zeros((0, 2), np.int64)
    return np.unique(np.concatenate(found), axis=0)


def _bucket_pairs(places: np.ndarray) -> np.ndarray:
    places = np.sort(places)
    if len(places) > _ALL_PAIRS_BELOW:
        return np.stack([np.full(len(places) - 1, places[0]), places[1:]], axis=1)
    first, second = np.triu_indices(len(places), k=1)
    return np.stack([places[first], places[second]], axis=1)


def _jaccard(sets: "csr_matrix", pairs: np.ndarray) -> np.ndarray:
    """Jaccard similarity of each pair of sets, float64 (pairs,)."""
    sizes = np.diff(sets.indptr)
    similarity = np.empty(len(pairs))
    for start in range(0, len(pairs), _CHUNK):
        block = pairs[start : start + _CHUNK]
        first, second = sets[block[:, 0]], sets[block[:, 1]]
        shared = np.asarray(first.multiply(second).sum(axis=1)).ravel()
        similarity[start : start + _CHUNK] = shared / (sizes[block[:, 0]] + sizes[block[:, 1]] - shared)
    return similarity
