"""Measures of a space against loops and against spaces whose answer is known."""

import math

import numpy as np
import pytest

from pipeline.evaluation.metrics import anisotropy, effective_rank, hubness, is_positive, space_quality


def test_anisotropy_is_the_mean_cosine_of_different_rows():
    vectors = np.random.default_rng(0).normal(size=(20, 4)) + 0.5
    unit = [row / math.sqrt(sum(row**2)) for row in vectors]
    cosines = [float(unit[i] @ unit[j]) for i in range(20) for j in range(20) if i != j]
    assert anisotropy(vectors) == pytest.approx(sum(cosines) / len(cosines))
    assert anisotropy(np.ones((3, 2))) == pytest.approx(1.0)
    assert math.isnan(anisotropy(np.ones((1, 2))))


def test_effective_rank_counts_equal_directions():
    # Four axes, both ways: centred already, four equal singular values.
    vectors = np.concatenate([np.eye(4), -np.eye(4)])
    assert effective_rank(vectors) == pytest.approx(4.0)
    assert math.isnan(effective_rank(np.ones((5, 3))))


def test_hubness_equals_a_count_of_neighbours():
    from scipy.stats import skew

    vectors = np.random.default_rng(1).normal(size=(60, 8))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    times = [0] * 60
    for i in range(60):
        others = sorted((j for j in range(60) if j != i), key=lambda j: -float(unit[i] @ unit[j]))
        for j in others[:10]:
            times[j] += 1
    assert hubness(vectors) == pytest.approx(skew(times), abs=1e-9)


def test_a_hub_shows():
    """Rows that point away from each other but all towards a middle one make that row everybody's neighbour."""
    generator = np.random.default_rng(2)
    spread = generator.normal(size=(300, 200))
    spread[:5] = spread.mean(axis=0) * 50
    assert hubness(spread) > 2


def test_positive_pairs_lie_in_the_top_fifth_of_their_own_scale():
    assert is_positive(np.array([0, 3.9, 4.0, 5.0])).tolist() == [False, False, True, True]
    assert is_positive(np.array([1.0, 4.1, 4.2, 5.0])).tolist() == [False, False, True, True]
    assert is_positive(np.ones(3)).tolist() == [False] * 3


def test_missing_positives_leave_the_alignment_open():
    vectors = np.random.default_rng(3).normal(size=(30, 6))
    quality = space_quality(vectors, vectors[:0], vectors[:0], seed=0, sample=10)
    assert quality.sentences == 10 and quality.positives == 0 and math.isnan(quality.alignment)
    assert space_quality(vectors, vectors[:3], vectors[:3], seed=0).alignment == pytest.approx(0.0)
