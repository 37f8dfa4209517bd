"""The paired bootstrap against a naive loop and against scipy's."""

import numpy as np
import pytest
from scipy.stats import bootstrap, spearmanr

from pipeline.studies.bootstrap import AVERAGE, plain_score, resample

SEEDS, ITEMS = 3, 40


@pytest.fixture
def gold():
    generator = np.random.default_rng(1)
    return {"one": generator.integers(0, 6, ITEMS).astype(float), "two": None}


@pytest.fixture
def predictions(gold):
    """Three seeds of two arms and one arm without seeds; cosines with ties on one task, hits on the other."""
    generator = np.random.default_rng(2)

    def cell(noise):
        near = np.round(gold["one"] + noise * generator.normal(size=ITEMS), 1)
        return {"one": near, "two": generator.integers(0, 2, ITEMS - 10).astype(float)}

    return {
        "a": [cell(1.0) for _ in range(SEEDS)],
        "b": [cell(2.5) for _ in range(SEEDS)],
        "before": [cell(4.0)],
    }


def naive(predictions, gold, *, seed, resamples):
    """The head of the module word by word: draw, score each cell on the drawn items, average, one at a time.

    Random numbers are taken in the order in which the module takes them.
    """
    generator = np.random.default_rng(seed)
    weights = generator.multinomial(SEEDS, np.full(SEEDS, 1 / SEEDS), size=resamples)
    drawn_seeds = [[s for s, times in enumerate(row) for _ in range(times)] for row in weights]
    values = {arm: {task: [] for task in gold} for arm in predictions}
    for task, truth in gold.items():
        items = len(predictions["a"][0][task])
        for b in range(resamples):
            chosen = generator.integers(0, items, size=items)
            for arm, cells in predictions.items():
                scores = []
                for s in drawn_seeds[b]:
                    drawn = cells[s if len(cells) > 1 else 0][task][chosen]
                    scores.append(drawn.mean() if truth is None else spearmanr(drawn, truth[chosen]).statistic)
                values[arm][task].append(np.mean(scores))
    return values


def test_every_resample_equals_a_naive_loop(predictions, gold):
    found = resample(predictions, gold, seed=5, resamples=60)
    wanted = naive(predictions, gold, seed=5, resamples=60)
    assert np.std(wanted["a"]["one"]) > 0.01
    for arm in predictions:
        for task in gold:
            np.testing.assert_allclose(found.values[arm][task], wanted[arm][task], atol=1e-12)
        average = np.mean([wanted[arm][task] for task in gold], axis=0)
        np.testing.assert_allclose(found.values[arm][AVERAGE], average, atol=1e-12)
    difference = found.difference(["a"], ["b", "before"])["one"]
    samples = np.array(wanted["a"]["one"]) - (np.array(wanted["b"]["one"]) + wanted["before"]["one"]) / 2
    np.testing.assert_allclose([difference.low, difference.high], np.quantile(samples, [0.025, 0.975]), atol=1e-12)
    scores = [np.mean([plain_score(c["one"], gold["one"]) for c in predictions[arm]]) for arm in ("a", "b", "before")]
    assert difference.value == pytest.approx(scores[0] - (scores[1] + scores[2]) / 2)


def test_with_one_seed_the_interval_is_scipys_paired_bootstrap(gold):
    generator = np.random.default_rng(3)
    near, far = (gold["one"] + noise * generator.normal(size=ITEMS) for noise in (1.0, 2.0))
    found = resample({"a": [{"one": near}], "b": [{"one": far}]}, {"one": gold["one"]}, resamples=4000)
    ours = found.difference(["a"], ["b"])["one"]

    def statistic(truth, a, b):
        return spearmanr(a, truth).statistic - spearmanr(b, truth).statistic

    theirs = bootstrap(
        (gold["one"], near, far), statistic, paired=True, vectorized=False, n_resamples=4000, method="percentile",
        rng=np.random.default_rng(9),
    )  # fmt: skip
    spread = theirs.standard_error
    assert spread > 0.01
    assert ours.value == pytest.approx(statistic(gold["one"], near, far), abs=1e-12)
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.15 * spread)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.15 * spread)


def test_an_arm_against_itself_differs_by_nothing_and_a_clear_gain_is_settled(predictions, gold):
    found = resample(predictions, gold, resamples=200)
    same = found.difference(["a"], ["a"])["one"]
    assert (same.value, same.low, same.high) == (0, 0, 0) and not same.is_settled
    clear = found.difference(["a"], ["before"])["one"]
    assert 0 < clear.low < clear.value < clear.high and clear.is_settled
    worse = found.difference(["before"], ["a"])["one"]
    assert worse.is_settled and worse.value < 0


def test_the_interval_covers_another_draw_of_seeds():
    """Seeds far apart and test items all alike: only resampling the seeds can see the spread."""
    gold = np.tile(np.arange(2.0), 50)
    good, bad = gold.copy(), gold.copy()
    bad[:40] = 1 - bad[:40]
    arm = [{"t": good}, {"t": bad}, {"t": good}, {"t": bad}]
    base = [{"t": bad}] * 4
    found = resample({"arm": arm, "base": base}, {"t": gold}, resamples=500).difference(["arm"], ["base"])["t"]
    assert found.low < 0.2 and found.high > 0.6


def test_arms_with_other_numbers_of_seeds_are_refused(predictions, gold):
    with pytest.raises(ValueError, match=r"same seeds, got \[2, 3\]"):
        resample({**predictions, "a": predictions["a"][:2]}, gold)
