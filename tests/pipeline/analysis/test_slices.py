"""Slices against plain loops, and their intervals against a simulation with a known truth."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from pipeline.analysis.slices import (
    LEAST_PAIRS,
    Sentence,
    rank_losses,
    same_words_reordered,
    score_slices,
    slice_changes,
    slice_members,
    word_overlap,
)


def test_losses_average_to_spearman_with_ties():
    generator = np.random.default_rng(0)
    gold = generator.integers(0, 6, 200).astype(float)
    predicted = (gold + generator.normal(0, 2, 200)).round(1)
    losses = rank_losses(predicted, gold)
    assert losses.min() >= 0
    assert 1 - losses.mean() == pytest.approx(spearmanr(predicted, gold).statistic, abs=1e-12)


def test_undefined_correlation_gives_no_loss_and_no_slice():
    losses = rank_losses(np.ones(30), np.arange(30.0))
    assert np.isnan(losses).all()
    assert score_slices({("a", "b"): np.arange(30) < 15}, losses, linked=np.arange(len(losses)), seed=0) == []
    with pytest.raises(ValueError, match="equally many"):
        rank_losses(np.ones(3), np.ones(2))


def naive_interval(inside, losses, *, seed, resamples):
    """Resample, split, average: no matrix product."""
    generator = np.random.default_rng(seed)
    drawn = []
    for rows in generator.integers(0, len(losses), size=(resamples, len(losses))):
        own = [losses[row] for row in rows if inside[row]]
        rest = [losses[row] for row in rows if not inside[row]]
        drawn.append(sum(rest) / len(rest) - sum(own) / len(own))
    return np.quantile(drawn, [0.025, 0.975])


def test_scores_agree_with_plain_loops():
    generator = np.random.default_rng(1)
    losses = generator.exponential(size=120)
    inside = generator.random(120) < 0.3
    losses[inside] += 1
    [found] = score_slices({("group", "name"): inside}, losses, linked=np.arange(len(losses)), seed=7, resamples=100)
    own = sum(losses[i] for i in range(120) if inside[i]) / inside.sum()
    rest = sum(losses[i] for i in range(120) if not inside[i]) / (~inside).sum()
    assert found.score == pytest.approx(1 - own)
    assert found.difference.value == pytest.approx(rest - own)
    assert found.pairs == inside.sum()
    assert (found.difference.low, found.difference.high) == pytest.approx(
        naive_interval(inside, losses, seed=7, resamples=100)
    )
    assert found.difference.is_settled


def test_pairs_that_share_a_sentence_count_as_little_as_they_are_independent():
    """Every loss five times over: drawn one by one the interval is sqrt(5) too narrow, in clusters it is not."""
    generator = np.random.default_rng(6)
    once = generator.exponential(size=200)
    inside, five = np.arange(200) < 60, np.repeat(np.arange(200), 5)

    def width(losses, members, linked):
        [found] = score_slices({("g", "s"): members}, losses, linked=linked, seed=1)
        return found.difference.high - found.difference.low

    wanted = width(once, inside, np.arange(200))
    assert width(once[five], inside[five], five) == pytest.approx(wanted, rel=0.02)
    assert width(once[five], inside[five], np.arange(1000)) < 0.6 * wanted


@pytest.mark.parametrize("alone", ["slice", "rest"])
def test_a_slice_or_a_rest_of_one_cluster_has_no_interval(alone):
    losses = np.random.default_rng(6).exponential(size=60) + np.repeat([5.0, 0.0], [20, 40])
    inside = np.arange(60) < 20 if alone == "slice" else np.arange(60) >= 20
    linked = np.where(np.arange(60) < 20, 0, np.arange(60) - 19)
    [found] = score_slices({("g", "s"): inside}, losses, linked=linked, seed=1)
    assert abs(found.difference.value) > 4
    assert (found.difference.range(), found.difference.verdict) == ("interval unknown", "no clear difference")
    for change in slice_changes({("g", "s"): inside}, losses, 0 * losses, linked=linked, seed=1):
        assert change.change.is_known == (alone == "rest")


def test_cost_is_what_the_total_gains_when_the_slice_becomes_like_the_rest():
    losses = np.concatenate([np.full(20, 0.9), np.full(60, 0.1)])
    inside = np.arange(80) < 20
    [found] = score_slices({("g", "s"): inside}, losses, linked=np.arange(len(losses)), seed=0, resamples=50)
    repaired = np.full(80, 0.1)
    assert found.cost == pytest.approx((1 - repaired.mean()) - (1 - losses.mean()))


def test_what_costs_most_comes_first_and_what_says_nothing_last():
    generator = np.random.default_rng(2)
    losses = generator.exponential(0.1, size=300)
    members = {("g", name): np.arange(300) % 5 == i for i, name in enumerate(("calm", "bad", "worse"))}
    losses[members["g", "bad"]] += 0.2
    losses[members["g", "worse"]] += 0.5
    members["g", "tiny"] = np.arange(300) < LEAST_PAIRS - 1
    members["g", "noise"] = generator.permutation(300) < 100
    found = score_slices(members, losses, linked=np.arange(len(losses)), seed=0)
    assert found[0].name == "worse"
    assert "tiny" not in [row.name for row in found]
    flags = [not row.difference.is_settled for row in found]
    assert flags == sorted(flags)


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_intervals_cover_the_true_difference_at_the_stated_rate(share):
    """300 data sets with a difference of exactly 0.2: 90 of 100 intervals should hold it."""
    generator = np.random.default_rng(3)
    held = 0
    for trial in range(300):
        inside = np.arange(200) < round(200 * share)
        losses = generator.gamma(2.0, 0.2, size=200) + 0.2 * inside
        [found] = score_slices(
            {("g", "s"): inside}, losses, linked=np.arange(len(losses)), seed=trial, resamples=300, level=0.9
        )
        held += found.difference.low <= -0.2 <= found.difference.high
    assert 0.85 <= held / 300 <= 0.95


def test_two_encoders_are_compared_on_the_same_pairs():
    generator = np.random.default_rng(4)
    before = generator.exponential(0.5, size=200)
    inside = np.arange(200) < 50
    after = before - 0.1 * inside + generator.normal(0, 0.01, size=200)
    changed, same = slice_changes(
        {("g", "in"): inside, ("g", "out"): ~inside}, before, after, linked=np.arange(200), seed=0
    )
    assert changed.name == "in" and changed.change.value == pytest.approx(0.1, abs=0.01)
    assert changed.change.is_settled and changed.change.low > 0.09
    assert not same.change.is_settled
    assert changed.after - changed.before == pytest.approx(changed.change.value)


PAIRS = [
    ("A dog bites a man.", "A man bites a dog.", "same words, other order"),
    ("He did not come.", "He came.", "negation on one side"),
    ("She doesn't sing.", "Nobody sings.", "negation on both sides"),
    ("Two cats sleep.", "Three cats sleep.", "numbers that differ"),
    ("It cost 1,200 euros.", "The price was 1,200 euros.", "the same numbers"),
    ("They met on Monday.", "They met on Friday.", "dates that differ"),
    ("It was built in 1987.", "In 1987 they built it.", "the same dates"),
    ("We flew to Lisbon.", "We flew to Madrid.", "names that differ"),
    ("We saw Anna there.", "There we saw Anna.", "the same names"),
    ("Where is it?", "It is here.", "question on one side"),
    ("Where is it?", "what is it", "questions"),
    ("A red bus stops.", "A red bus stops here.", "80% of words shared or more"),
    ("Go.", "I would like to sit down in the shade of that tree.", "8 words apart or more"),
]


@pytest.mark.parametrize(("first", "second", "name"), PAIRS, ids=[name for *_, name in PAIRS])
def test_a_pair_is_in_the_slice_its_words_put_it_in(first, second, name):
    plain = ("The sun is shining here", "Rain falls on old stones")
    members = slice_members([first, plain[0]], [second, plain[1]], np.array([1.0, 2.0]), ["", ""])
    by_name = {key[1]: inside for key, inside in members.items()}
    assert by_name[name].tolist() == [True, False]


def test_headlines_have_no_names_and_empty_sentences_no_overlap():
    assert Sentence("Stocks Fall As Rates Rise Again").names == frozenset()
    assert word_overlap(Sentence("..."), Sentence("!")) == 0.0
    assert not same_words_reordered(Sentence("A dog."), Sentence("a dog!"))


def test_gold_bands_and_subsets_part_the_pairs():
    gold = np.array([0.0, 1.0, 2.5, 4.0, 5.0])
    members = slice_members(["a"] * 5, ["b"] * 5, gold, ["x", "x", "y", "y", "y"])
    for group in ("gold", "subset"):
        parts = np.stack([inside for key, inside in members.items() if key[0] == group])
        assert (parts.sum(axis=0) == 1).all(), group
    assert slice_members([], [], np.array([]), [])
