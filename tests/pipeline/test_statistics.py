"""The paired bootstrap against a naive loop, scipy's and simulation; other intervals against their definitions."""

import math

import numpy as np
import pytest
from scipy.stats import bootstrap, spearmanr

from pipeline.statistics import (
    AVERAGE,
    Interval,
    clusters,
    holm,
    multinomial_counts,
    plain_score,
    resample,
    spearman,
)

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


def naive(predictions, gold, linked, *, seed, resamples):
    """The head of the module word by word: draw clusters, score each seed on their items, average, one at a time.

    Random numbers are taken in the order in which the module takes them.
    """
    generator = np.random.default_rng(seed)
    values = {arm: {task: [] for task in gold} for arm in predictions}
    for task, truth in gold.items():
        members = [np.flatnonzero(linked[task] == cluster) for cluster in range(linked[task].max() + 1)]
        for _ in range(resamples):
            chosen = np.concatenate([members[c] for c in generator.integers(0, len(members), size=len(members))])
            for arm, cells in predictions.items():
                scores = []
                for cell in cells:
                    drawn = cell[task][chosen]
                    scores.append(drawn.mean() if truth is None else spearmanr(drawn, truth[chosen]).statistic)
                values[arm][task].append(np.mean(scores))
    return values, generator.standard_t(SEEDS - 1, resamples)


def test_every_resample_equals_a_naive_loop(predictions, gold):
    linked = {"one": np.arange(ITEMS) // 2, "two": np.arange(ITEMS - 10) % 12}
    found = resample(predictions, gold, linked=linked, seed=5, resamples=60)
    wanted, of_seeds = naive(predictions, gold, linked, seed=5, resamples=60)
    assert np.std(wanted["a"]["one"]) > 0.01
    for arm in predictions:
        for task in gold:
            np.testing.assert_allclose(found.values[arm][task], wanted[arm][task], atol=1e-12)
        average = np.mean([wanted[arm][task] for task in gold], axis=0)
        np.testing.assert_allclose(found.values[arm][AVERAGE], average, atol=1e-12)
    difference = found.difference(["a"], ["b", "before"])["one"]
    scores = {arm: np.array([plain_score(c["one"], gold["one"]) for c in predictions[arm]]) for arm in predictions}
    per_seed = scores["a"] - (scores["b"] + scores["before"]) / 2
    samples = np.array(wanted["a"]["one"]) - (np.array(wanted["b"]["one"]) + wanted["before"]["one"]) / 2
    samples += of_seeds * per_seed.std(ddof=1) / np.sqrt(SEEDS)
    np.testing.assert_allclose([difference.low, difference.high], np.quantile(samples, [0.025, 0.975]), atol=1e-12)
    assert difference.value == pytest.approx(per_seed.mean())
    beyond = min((samples <= 0).sum(), (samples >= 0).sum())
    assert difference.p == min(1, 2 * (beyond + 1) / 61)


def test_without_spread_over_items_the_interval_over_seeds_is_students():
    """All items alike, so that only the seeds vary: 2, 4, 6 gives 4 +- 4.3027 * 2 / sqrt 3."""
    arm = [{"t": np.full(10, value)} for value in (2.0, 4.0, 6.0)]
    found = resample({"arm": arm, "base": [{"t": np.zeros(10)}]}, {"t": None}, resamples=40_000)
    difference = found.difference(["arm"], ["base"])["t"]
    assert difference.value == 4
    assert (difference.low, difference.high) == pytest.approx((4 - 4.968275, 4 + 4.968275), abs=0.15)


def simulated(generator, *, items, per_cluster, seeds, halves):
    """Scores of an arm whose true gain over nothing is 0, with variation of clusters, seeds and corpora, all at once.

    A corpus deviates by 1, and each of its random halves once more by as much, as half-samples do; a seed by 1.
    """
    linked = np.repeat(np.arange(items // per_cluster), per_cluster)
    of_items = generator.normal(size=items // per_cluster)[linked] * np.sqrt(items / per_cluster)
    corpus = generator.normal()

    def cell(deviation):
        return {"t": of_items + corpus + deviation}

    arm = [cell(generator.normal()) for _ in range(seeds)]
    return linked, arm, [cell(generator.normal() + generator.normal()) for _ in range(halves)]


def test_intervals_cover_the_truth_under_all_three_sources_and_would_not_without_one_of_them():
    """Items, seeds and corpus deviate by 1, 1 / sqrt(3) and 1; 95 of 100 intervals must hold the truth, 0."""
    generator = np.random.default_rng(11)
    trials, covered = 300, {"all": 0, "no clusters": 0, "no halves": 0, "one seed": 0}
    for trial in range(trials):
        linked, arm, halves = simulated(generator, items=400, per_cluster=10, seeds=3, halves=5)
        zero = {"base": [{"t": np.zeros(400)}]}
        options = {
            "all": ({"arm": arm}, {"t": linked}, {"arm": halves} | zero),
            "no clusters": ({"arm": arm}, {}, {"arm": halves} | zero),
            "no halves": ({"arm": arm}, {"t": linked}, {}),
            "one seed": ({"arm": arm[:1]}, {"t": linked}, {}),
        }
        for name, (arms, clustered, on_halves) in options.items():
            drawn = resample(arms | zero, {"t": None}, linked=clustered, halves=on_halves, seed=trial, resamples=200)
            found = drawn.difference(["arm"], ["base"])["t"]
            covered[name] += found.low <= 0 <= found.high
    shares = {name: count / trials for name, count in covered.items()}
    assert 0.93 <= shares["all"] <= 0.99
    assert shares["one seed"] < 0.85
    assert shares["no clusters"] < shares["all"] - 0.02 and shares["no halves"] < shares["all"] - 0.02


def test_clusters_are_pairs_linked_by_shared_sentences():
    first, second = ["a", "b", "x", "c", "y"], ["b", "c", "y", "d", "y"]
    assert clusters(first, second).tolist() == [0, 0, 1, 0, 1]
    assert clusters(["a", "b"], ["c", "d"]).tolist() == [0, 1] and clusters([], []).tolist() == []


def test_clusters_equal_a_search_through_the_graph():
    generator = np.random.default_rng(4)
    first, second = ([f"s{n}" for n in generator.integers(0, 200, 80)] for _ in range(2))
    found = clusters(first, second)
    for start in range(80):
        reached, words = set(), {first[start], second[start]}
        while True:
            more = {row for row in range(80) if {first[row], second[row]} & words} - reached
            if not more:
                break
            reached |= more
            words |= {sentence for row in reached for sentence in (first[row], second[row])}
        assert set(np.flatnonzero(found == found[start])) == reached
    assert 5 < found.max() < 60


def test_holm_worked_by_hand():
    """0.01, 0.04, 0.03 of three: 3 x 0.01, then 2 x 0.03, then 1 x 0.04, which may not be below the one before."""
    given = [Interval(1, 0.5, 2, p) for p in (0.01, 0.04, 0.03)] + [Interval(1, 0.5, 2)]
    found = holm(given)
    assert [item.p for item in found[:3]] == pytest.approx([0.03, 0.06, 0.06]) and math.isnan(found[3].p)
    assert [item.verdict for item in found] == ["better", "no clear difference", "no clear difference", "better"]
    assert holm([]) == []


def test_of_twenty_tables_in_which_nothing_differs_about_one_shows_a_difference():
    generator = np.random.default_rng(5)
    tables = 200
    wrong = {"holm": 0, "each alone": 0}
    for _ in range(tables):
        found = [Interval.of(z, z + generator.normal(size=400)) for z in generator.normal(size=8)]
        wrong["each alone"] += any(item.is_settled for item in found)
        wrong["holm"] += any(item.is_settled for item in holm(found))
    assert wrong["holm"] / tables <= 0.10 < 0.2 < wrong["each alone"] / tables


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


def test_arms_with_other_numbers_of_seeds_are_refused(predictions, gold):
    with pytest.raises(ValueError, match=r"same seeds, got \[2, 3\]"):
        resample({**predictions, "a": predictions["a"][:2]}, gold)


def correlations(arms, gold, *, seed):
    """Resample the Spearman of arms with one seed each on one task."""
    return resample({arm: [{"t": values}] for arm, values in arms.items()}, {"t": gold}, seed=seed, resamples=300)


def of_one(predicted, gold, *, seed):
    drawn = correlations({"a": predicted}, gold, seed=seed)
    return Interval.of(spearman(predicted, gold), drawn.values["a"]["t"])


def noisy(gold, noise, generator):
    return gold + noise * generator.normal(size=len(gold))


def test_interval_covers_the_truth_as_often_as_it_says():
    # Two encoders of equal quality: the true difference is 0, and about 95 of 100 intervals must contain it.
    generator = np.random.default_rng(3)
    covered = 0
    for seed in range(120):
        gold = generator.normal(size=150)
        a, b = noisy(gold, 0.8, generator), noisy(gold, 0.8, generator)
        interval = correlations({"a": a, "b": b}, gold, seed=seed).difference(["a"], ["b"])["t"]
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
        interval = of_one(predicted, gold, seed=seed)
        covered += interval.low <= truth <= interval.high
    assert 0.90 <= covered / 200 <= 0.99


def test_interval_of_a_clear_difference_excludes_zero_and_pairing_narrows_it():
    generator = np.random.default_rng(4)
    gold = generator.normal(size=600)
    shared = noisy(gold, 0.6, generator)
    a, b = noisy(shared, 0.1, generator), noisy(shared, 0.4, generator)
    difference = correlations({"a": a, "b": b}, gold, seed=0).difference(["a"], ["b"])["t"]
    assert difference.value == pytest.approx(spearman(a, gold) - spearman(b, gold))
    assert 0 < difference.low < difference.value < difference.high
    assert difference.is_settled
    single = of_one(a, gold, seed=0)
    assert difference.high - difference.low < single.high - single.low


def test_same_seed_gives_the_same_interval():
    generator = np.random.default_rng(5)
    gold = generator.normal(size=50)
    a, b = noisy(gold, 1, generator), noisy(gold, 1, generator)
    once, again, other = (
        correlations({"a": a, "b": b}, gold, seed=seed).difference(["a"], ["b"]) for seed in (1, 1, 2)
    )
    assert once == again != other


def test_an_interval_leaves_out_samples_that_are_not_finite():
    found = Interval.of(1.0, np.array([np.nan, *np.arange(101.0), np.inf]), level=0.9)
    assert (found.low, found.high) == pytest.approx((5, 95)) and found.is_settled
    scaled = Interval(1, 5, 95).times(100)
    assert (scaled.value, scaled.low, scaled.high) == (100, 500, 9500)
    empty = Interval.of(1.0, np.full(5, np.nan))
    assert math.isnan(empty.low) and not empty.is_settled


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_task_of_one_cluster_settles_nothing(predictions, gold, seeds):
    """Drawing the only cluster gives the same items each time: width zero would say better of any difference."""
    arms = {"a": predictions["a"][:seeds], "before": predictions["before"]}
    for linked in ({"one": np.zeros(ITEMS, int)}, {"two": np.zeros(ITEMS - 10, int)}):
        found = resample(arms, gold, linked=linked).difference(["a"], ["before"])
        [unknown] = linked
        for task in (unknown, AVERAGE):
            assert found[task].value > 0 or task == "two"
            assert math.isnan(found[task].low) and math.isnan(found[task].high) and math.isnan(found[task].p)
            assert found[task].verdict == "no clear difference"
        other = "two" if unknown == "one" else "one"
        assert found[other].is_known
    two = {"one": np.arange(ITEMS) % 2}
    assert resample(arms, gold, linked=two).difference(["a"], ["before"])["one"].is_known


def test_a_single_item_has_no_interval():
    assert not multinomial_counts(np.random.default_rng(0), 1, 5).any()


def test_ends_in_words():
    known, unknown = Interval(0.114, -0.3, 0.516), Interval(0.114, float("nan"), float("nan"))
    assert (known.range(), known.words()) == ("-0.30 to +0.52", "+0.11 (-0.30 to +0.52)")
    assert (known.range(".1f"), known.times(100).words(".0f")) == ("-0.3 to 0.5", "11 (-30 to 52)")
    assert (unknown.range(), unknown.words()) == ("interval unknown", "+0.11 (interval unknown)")


def test_counts_of_few_items_have_the_moments_of_drawing_with_replacement():
    counts = multinomial_counts(np.random.default_rng(0), 4, 20_000)
    assert (counts.sum(axis=1) == 4).all()
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=0.02)
    np.testing.assert_allclose(counts.var(axis=0), 4 * 0.25 * 0.75, atol=0.02)


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
