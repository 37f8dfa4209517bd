import numpy as np
import pytest
from scipy.stats import pearsonr

from pipeline.analysis.selection import lengths, set_apart, word_features


def test_the_planted_word_and_length_separate_best_and_figures_are_scipys():
    random = np.random.default_rng(0)
    selected = np.arange(200) < 60
    words = ["river", "stone", "cloud", "green"]
    texts = []
    for inside in selected:
        drawn = [word for word in words if random.random() < 0.5]
        if random.random() < (0.9 if inside else 0.1):
            drawn.append("Not")
        texts.append(" ".join(["it", *drawn, *["very"] * int(random.integers(0, 3) + 4 * inside)]))
    features = word_features(texts) | {"words": lengths(texts)}
    assert "“it”" not in features, "a word of every text separates nothing"
    found = set_apart(selected, features)
    assert {found[0].name, found[1].name} == {"“not”", "words"}
    for one in found:
        reference = pearsonr(np.asarray(features[one.name], float), selected)
        low, high = reference.confidence_interval()
        assert one.correlation.value == pytest.approx(reference.statistic, abs=1e-5)
        assert (one.correlation.low, one.correlation.high) == pytest.approx((low, high), abs=1e-4)
    share = np.mean(["not" in text.lower().split() for text in np.array(texts)[selected]])
    assert next(one for one in found if one.name == "“not”").inside == pytest.approx(share)
    assert not [one.name for one in found if one.name[1:-1] in words and one.correlation.is_settled]


def test_groups_widen_and_nothing_is_said_of_all_or_none():
    selected, feature = np.arange(40) < 20, {"x": np.arange(40) % 3 == 0}
    alone = set_apart(selected, feature)[0].correlation
    grouped = set_apart(selected, feature, groups=np.arange(40) // 4)[0].correlation
    assert grouped.value == alone.value and grouped.high - grouped.low > alone.high - alone.low
    assert set_apart(np.ones(40, bool), feature) == [] == set_apart(np.zeros(40, bool), feature)
    assert set_apart(selected, {"constant": np.ones(40)}) == []
