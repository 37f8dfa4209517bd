import numpy as np
import pytest

from pipeline.analysis.worst_pairs import rank_residuals, relative_ranks, worst_pairs
from pipeline.evaluation.sts import StsTask


def test_residuals_by_hand_with_ties():
    gold = np.array([0.0, 1.0, 1.0, 5.0])
    cosine = np.array([0.9, 0.1, 0.2, 0.3])
    # Ranks of gold 1, 2.5, 2.5, 4 and of the cosines 4, 1, 2, 3, each less 1 and over 3.
    np.testing.assert_allclose(rank_residuals(cosine, gold), [1, -0.5, -1 / 6, -1 / 3])


def test_only_the_order_of_cosines_counts():
    generator = np.random.default_rng(0)
    gold, cosine = generator.normal(size=(2, 50))
    np.testing.assert_allclose(rank_residuals(np.exp(3 * cosine), gold), rank_residuals(cosine, gold))


def test_worst_pairs_come_first_with_their_texts():
    task = StsTask(
        "t", ["a", "b", "c", "d"], ["A", "B", "C", "D"], np.array([0.0, 1.0, 2.0, 5.0]), ["x", "x", "y", "y"]
    )
    worst = worst_pairs(task, np.array([0.9, 0.1, 0.2, 0.3]), count=2)
    assert [(pair.row, pair.sentence1, pair.sentence2, pair.subset) for pair in worst] == [
        (0, "a", "A", "x"),
        (1, "b", "B", "x"),
    ]
    assert worst[0].residual == pytest.approx(1.0)
    assert worst[0].residual == worst[0].cosine_rank - worst[0].gold_rank
    assert (worst[0].gold, worst[0].cosine) == (0.0, 0.9)


@pytest.mark.parametrize("n", [0, 1])
def test_no_order_no_error(n):
    task = StsTask("t", ["a"][:n], ["b"][:n], np.zeros(n), [""][:n])
    assert len(worst_pairs(task, np.zeros(n))) == n
    assert relative_ranks(np.zeros(n)).tolist() == [0.0] * n


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="as many"):
        rank_residuals(np.zeros(2), np.zeros(3))
