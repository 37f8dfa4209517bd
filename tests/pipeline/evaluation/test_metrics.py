"""Metrics worked by hand, by brute force and by scikit-learn."""

import math

import numpy as np
import pytest

from pipeline.evaluation import metrics
from pipeline.evaluation.metrics import alignment, uniformity


def test_alignment_by_hand():
    first = np.array([[2.0, 0.0], [0.0, 3.0]])
    second = np.array([[1.0, 0.0], [4.0, 0.0]])
    # Unit vectors: equal in the first row, at a right angle in the second: (0 + 2) / 2.
    assert alignment(first, second) == pytest.approx(1.0)


def test_uniformity_by_brute_force_across_blocks(monkeypatch):
    monkeypatch.setattr(metrics, "_BLOCK_ROWS", 7)
    vectors = np.random.default_rng(6).normal(size=(23, 4))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = [math.exp(-2 * sum((unit[i] - unit[j]) ** 2)) for i in range(23) for j in range(23) if i != j]
    assert uniformity(vectors) == pytest.approx(math.log(np.mean(pairs)), abs=1e-9)


def test_uniformity_of_a_collapsed_encoder_is_the_worst():
    spread = np.random.default_rng(7).normal(size=(50, 8))
    assert uniformity(np.ones((5, 3))) == pytest.approx(0.0, abs=1e-12)
    assert uniformity(spread) < -1
    with pytest.raises(ValueError, match="at least two"):
        uniformity(np.ones((1, 3)))


def test_row_cosine_equals_scikit_learn_and_takes_zero_rows():
    from sklearn.metrics.pairwise import paired_cosine_distances

    first, second = np.random.default_rng(8).normal(size=(2, 30, 5))
    np.testing.assert_allclose(metrics.row_cosine(first, second), 1 - paired_cosine_distances(first, second))
    assert metrics.row_cosine(np.zeros((1, 3)), np.ones((1, 3))).tolist() == [0.0]
