"""Cosines of triplets against numbers worked by hand, and the share against the accuracy of training."""

import numpy as np
import pytest

from pipeline.analysis.worst_pairs import Share, is_violated
from pipeline.evaluation.benchmark import held_out_accuracy
from pipeline.evaluation.metrics import triplet_cosines
from pipeline.records import Triplet

VECTORS = {"p": [1.0, 0.0], "near": [3.0, 4.0], "far": [0.0, 2.0], "same": [5.0, 0.0], "opposite": [-1.0, 0.0]}
TRIPLETS = [("p", "near", "far"), ("p", "far", "near"), ("p", "same", "opposite"), ("p", "near", "near")]


class Lookup:
    """An encoder that gives the vectors above."""

    def encode(self, sentences, **_):
        return np.array([VECTORS[sentence] for sentence in sentences], dtype=np.float32)


def cosines():
    premise, positive, hard_negative = (list(column) for column in zip(*TRIPLETS, strict=True))
    return triplet_cosines(premise, positive, hard_negative, Lookup().encode)


def test_cosines_worked_by_hand():
    near, far = cosines()
    np.testing.assert_allclose(near, [0.6, 0.0, 1.0, 0.6], atol=1e-6)
    np.testing.assert_allclose(far, [0.0, 0.6, -1.0, 0.6], atol=1e-6)


def test_violated_share_is_what_the_accuracy_misses():
    near, far = cosines()
    assert is_violated(near, far).tolist() == [False, True, False, True], "a tie is not in order"
    assert is_violated(near, far, margin=0.7).tolist() == [True, True, False, True]
    accuracy = held_out_accuracy(Lookup(), [Triplet(*row) for row in TRIPLETS])
    assert is_violated(near, far).mean() == pytest.approx(1 - accuracy)
    with pytest.raises(ValueError, match="margin"):
        is_violated(near, far, margin=-0.1)


def test_share_has_the_interval_of_wilson():
    share = Share.of(np.array([True] * 3 + [False] * 17))
    z, p, n = 1.959964, 0.15, 20  # the formula of Wilson (1927), worked with these
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
    assert (share.part, share.whole) == (3, 20)
    assert (share.low, share.high) == pytest.approx((centre - half, centre + half), abs=1e-5)
    assert Share.of(np.array([], dtype=bool)) == Share(0, 0, 0.0, 1.0)
