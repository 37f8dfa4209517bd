"""Metrics against ranks worked by hand, scipy, brute force and simulation."""

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from pipeline.evaluation import metrics
from pipeline.evaluation.metrics import alignment, bootstrap_difference, bootstrap_spearman, spearman, uniformity


def test_spearman_with_ties_worked_by_hand():
    # Ranks of the first: 1, 2.5, 2.5, 4; of the second: 2, 1, 3, 4. Centred products: 0.75 + 0 + 0 + 2.25 = 3;
    # sums of squares: 4.5 and 5, hence 3 / sqrt(22.5).
    value = spearman(np.array([1.0, 2.0, 2.0, 3.0]), np.array([2.0, 1.0, 3.0, 4.0]))
    assert value == pytest.approx(3 / math.sqrt(22.5), abs=1e-12)


def test_spearman_equals_scipy_and_ignores_monotone_changes():
    generator = np.random.default_rng(0)
    predicted, gold = generator.normal(size=300), generator.integers(0, 6, size=300)
    assert spearman(predicted, gold) == pytest.approx(spearmanr(predicted, gold).statistic, abs=1e-12)
    assert spearman(np.exp(predicted), gold) == pytest.approx(spearman(predicted, gold), abs=1e-12)


@pytest.mark.parametrize(
    ("predicted", "gold"),
    [([1.0], [2.0]), ([], []), ([1.0, 1.0], [1.0, 2.0]), ([1.0, 2.0], [3.0, 3.0]), ([1.0, np.nan], [1.0, 2.0])],
)
def test_undefined_correlation_is_nan_and_not_zero(predicted, gold):
    assert math.isnan(spearman(np.array(predicted), np.array(gold)))


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="same length"):
        spearman(np.zeros(3), np.zeros(4))


def test_resampled_correlations_equal_scipy_on_the_resampled_pairs():
    # Ranks are computed from counts instead of by sorting every resample; ties and repeated pairs are the danger.
    generator = np.random.default_rng(1)
    predicted, gold = generator.integers(0, 9, size=40).astype(float), generator.integers(0, 5, size=40).astype(float)
    counts = metrics._resample_counts(40, 25, seed=2)
    values = metrics._spearman_of_resamples(predicted, gold, counts)
    for count, value in zip(counts, values, strict=True):
        rows = np.repeat(np.arange(40), count)
        assert value == pytest.approx(spearmanr(predicted[rows], gold[rows]).statistic, abs=1e-12)


def noisy(gold, noise, generator):
    return gold + noise * generator.normal(size=len(gold))


def test_interval_covers_the_truth_as_often_as_it_says():
    # Two encoders of equal quality: the true difference is 0, and about 95 of 100 intervals must contain it.
    generator = np.random.default_rng(3)
    covered = 0
    for seed in range(120):
        gold = generator.normal(size=150)
        a, b = noisy(gold, 0.8, generator), noisy(gold, 0.8, generator)
        interval = bootstrap_difference(gold, a, b, seed=seed, resamples=300)
        covered += interval.low <= 0 <= interval.high
    assert 0.88 <= covered / 120 <= 0.99


def test_interval_of_one_correlation_covers_the_true_one_as_often_as_it_says():
    # For normal pairs of correlation r the true Spearman is 6 / pi * asin(r / 2), Pearson (1907).
    generator = np.random.default_rng(8)
    truth = 6 / math.pi * math.asin(0.6 / 2)
    covered = 0
    for seed in range(200):
        gold = generator.normal(size=150)
        predicted = 0.6 * gold + 0.8 * generator.normal(size=150)
        interval = bootstrap_spearman(gold, predicted, seed=seed, resamples=300)
        covered += interval.low <= truth <= interval.high
    assert 0.90 <= covered / 200 <= 0.99


def test_interval_of_a_clear_difference_excludes_zero_and_pairing_narrows_it():
    generator = np.random.default_rng(4)
    gold = generator.normal(size=600)
    shared = noisy(gold, 0.6, generator)
    a, b = noisy(shared, 0.1, generator), noisy(shared, 0.4, generator)
    difference = bootstrap_difference(gold, a, b, seed=0)
    assert difference.value == pytest.approx(spearman(a, gold) - spearman(b, gold))
    assert 0 < difference.low < difference.value < difference.high
    assert difference.share_above_zero == 1.0
    single = bootstrap_spearman(gold, a, seed=0)
    assert difference.high - difference.low < single.high - single.low


def test_same_seed_gives_the_same_interval():
    generator = np.random.default_rng(5)
    gold = generator.normal(size=50)
    a, b = noisy(gold, 1, generator), noisy(gold, 1, generator)
    assert bootstrap_difference(gold, a, b, seed=1) == bootstrap_difference(gold, a, b, seed=1)
    assert bootstrap_difference(gold, a, b, seed=1) != bootstrap_difference(gold, a, b, seed=2)


def test_alignment_by_hand():
    first = np.array([[2.0, 0.0], [0.0, 3.0]])
    second = np.array([[1.0, 0.0], [4.0, 0.0]])
    # Unit vectors: equal in the first row, at a right angle in the second: (0 + 2) / 2.
    assert alignment(first, second) == pytest.approx(1.0)


def test_uniformity_by_brute_force_across_blocks(monkeypatch):
    monkeypatch.setattr(metrics, "_UNIFORMITY_BLOCK_ROWS", 7)
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
