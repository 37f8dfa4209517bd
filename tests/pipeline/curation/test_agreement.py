import math

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from pipeline.curation.agreement import cohen_kappa, krippendorff_alpha

LABELS = ["accept", "reject", "swap", "edit"]


@pytest.mark.parametrize("seed", range(20))
def test_kappa_is_scikit_learns(seed):
    random = np.random.default_rng(seed)
    first = random.choice(LABELS, 60)
    second = np.where(random.random(60) < 0.6, first, random.choice(LABELS, 60))
    assert cohen_kappa(first.tolist(), second.tolist()) == pytest.approx(cohen_kappa_score(first, second), abs=1e-12)


def test_kappa_without_a_choice_is_no_number():
    assert math.isnan(cohen_kappa([], []))
    assert math.isnan(cohen_kappa(["accept"] * 3, ["accept"] * 3))
    assert cohen_kappa(["accept", "reject"], ["reject", "accept"]) == -1


def test_alpha_of_the_published_example():
    """Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), example C: four observers, nominal: 0.743."""
    n = None
    observers = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, n, n, n],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, n, 3],
        [n, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, n],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, n],
    ]
    items = [[label for label in item if label is not None] for item in zip(*observers, strict=True)]
    assert krippendorff_alpha(items) == pytest.approx(0.743, abs=5e-4)


def test_alpha_is_one_for_full_agreement_and_no_number_without_a_pair():
    assert krippendorff_alpha([["a", "a"], ["b", "b", "b"]]) == 1
    assert math.isnan(krippendorff_alpha([["a"], ["b"]]))
