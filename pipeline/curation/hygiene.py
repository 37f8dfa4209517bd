"""Faults of a set of triplets: duplicates, sentences of test sets, and sides that copy each other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from pipeline.curation.ngram_duplicates import equal_groups, joined_groups, near_pairs, normalised
from pipeline.evaluation.sts import StsTask
from pipeline.records import Triplet

SIDES: Final = ("premise", "positive", "hard_negative")
EXACT, NEAR = "exact", "near"
NEAR_COPY: Final = 0.9
"""Least similarity of letter sequences at which a positive counts as a near copy of its premise."""
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
    """1 for equal up to case, punctuation and spaces; below it the share of letter sequences in common."""


def duplicate_groups(
    triplets: Sequence[Triplet], *, threshold: float = 0.8, on_texts: Callable[[int], None] = lambda done: None
) -> pd.DataFrame:
    """Find groups of triplets that say the same.

    Returns:
        Columns group (number), kind (exact: equal up to case, punctuation and spaces; near: similar letter sequences
        over all three sentences, chained), triplet (place), similarity (to the group's most similar other member).
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
    """Find sentences that occur in evaluation tasks: any side that is equal, and premises that are nearly so."""
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
    """Return (place, finding of COPIES) of each triplet with sides that repeat each other; a triplet may have two."""
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
