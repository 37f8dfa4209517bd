"""Duplicates, leaks and copies against naive comparisons of all pairs."""

from itertools import combinations
from random import Random

import numpy as np
import pytest

from pipeline.curation.hygiene import (
    copies,
    duplicate_groups,
    equal_groups,
    joined_groups,
    leaks,
    near_pairs,
    normalised,
)
from pipeline.evaluation.sts import StsTask
from pipeline.records import Triplet

WORDS = "a man woman child reads writes sings a book song letter in the park house rain today".split()


def grams(text: str) -> set[str]:
    return {text[i : i + 4] for i in range(len(text) - 3)}


def jaccard(one: str, other: str) -> float:
    union = grams(one) | grams(other)
    return len(grams(one) & grams(other)) / len(union) if union else 0.0


@pytest.fixture(scope="module")
def texts() -> list[str]:
    random = Random(1)
    base = [" ".join(random.choices(WORDS, k=14)) for _ in range(60)]
    near = [text.replace("man", "men", 1) + " now" for text in base[:20]]
    return [*base, *near, base[3], "", "abc"]


def test_near_pairs_are_those_of_a_naive_comparison(texts):
    pairs, similarity = near_pairs(texts, threshold=0.7)
    naive = {(i, j): jaccard(texts[i], texts[j]) for i, j in combinations(range(len(texts)), 2)}
    expected = {pair: value for pair, value in naive.items() if value >= 0.7}
    assert len(expected) >= 20
    found = dict(zip(map(tuple, pairs.tolist()), similarity.tolist(), strict=True))
    # Candidates are drawn: from 0.85 on a miss is less likely than 1 in 10 million, below it may happen.
    assert {pair for pair, value in expected.items() if value >= 0.85} <= set(found) <= set(expected)
    assert all(found[pair] == pytest.approx(expected[pair], abs=0.02) for pair in found)
    assert len(found) >= 0.95 * len(expected)


def test_a_large_bucket_stays_linear_and_loses_no_member():
    pairs, similarity = near_pairs(["the very same sentence again"] * 300)
    assert joined_groups(pairs, 300) == [list(range(300))]
    assert len(pairs) == 299 and similarity.tolist() == [1.0] * 299


def test_nothing_is_near_to_nothing():
    assert near_pairs([])[0].shape == (0, 2)
    assert near_pairs(["", "", "abc"])[0].shape == (0, 2)
    with pytest.raises(ValueError, match="threshold"):
        near_pairs(["a"], threshold=0.0)


def test_groups_by_hand():
    assert equal_groups(["x", "y", "x", "z", "y", "x"]) == [[0, 2, 5], [1, 4]]
    assert joined_groups(np.array([[0, 1], [1, 4], [2, 3]]), 6) == [[0, 1, 4], [2, 3]]
    assert normalised("  It's\tFINE -- Straße! ") == "it s fine strasse"


def test_duplicate_groups_name_exact_and_near_once():
    long = "A man in a red coat reads the evening paper on a bench in the park"
    triplets = [
        Triplet(f"{long}.", "A person reads outside today.", "Nobody reads in the park at all."),
        Triplet(f"{long.upper()}!", "a person reads outside, today", "Nobody reads in the park at all"),
        Triplet(f"{long} again.", "A person reads outside today.", "Nobody reads in the park at all."),
        Triplet("Something else entirely.", "It is another thing.", "It is the same thing."),
    ]
    found = duplicate_groups(triplets)
    assert found.groupby("group")["triplet"].apply(list).tolist() == [[0, 1], [0, 2]]
    assert found["kind"].tolist() == ["exact", "exact", "near", "near"]
    assert found["similarity"].iloc[2] == found["similarity"].iloc[3] > 0.9


def test_leaks_by_hand():
    task = StsTask("STS99", ["A cat sits on the old red mat in the hall."], ["Hi!"], np.array([1.0]), ["s"])
    triplets = [
        Triplet("a CAT sits on the old red mat in the hall", "x y", "hi"),
        Triplet("A cat sits on the old red mat in the halls.", "x y", "no"),
        Triplet("A dog runs.", "x", "no"),
    ]
    found = [(leak.triplet, leak.side, leak.task, leak.similarity == 1.0) for leak in leaks(triplets, [task])]
    assert found == [
        (0, "premise", "STS99", True),
        (0, "hard_negative", "STS99", True),
        (1, "premise", "STS99", False),
    ]


def test_copies_by_hand():
    triplets = [
        Triplet("A man sleeps.", "a man sleeps", "A man runs."),
        Triplet(
            "A man in the old park sleeps for quite a while.", "A man in the old park sleeps for quite a whil", "No."
        ),
        Triplet("A man sleeps.", "He is asleep.", "A MAN SLEEPS!"),
        Triplet("A man sleeps.", "He is asleep.", "he is asleep"),
        Triplet("A man sleeps.", "He is asleep.", "He is awake."),
    ]
    assert copies(triplets) == [
        (0, "positive_copy"),
        (1, "positive_near_copy"),
        (2, "hard_negative_copy"),
        (3, "sides_equal"),
    ]
