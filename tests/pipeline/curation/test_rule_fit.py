import math

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr
from sklearn.metrics import f1_score, precision_score, recall_score

from pipeline.config import CurationRule
from pipeline.curation.rules import best_rule, keeps, measure_judge, measure_rule
from pipeline.records import InputError


def scores(n, seed=0):
    random = np.random.default_rng(seed)
    return random.uniform(0, 5, n), random.uniform(0, 5, n), random.random(n)


def test_precision_recall_and_f1_are_scikit_learns():
    a, b, noise = scores(300)
    accepted = keeps(CurationRule(3, 3, 0.5), a, b) ^ (noise < 0.1)
    kept = keeps(CurationRule(), a, b)
    fit = measure_rule(CurationRule(), a, b, accepted)
    for measured, reference in ((fit.precision, precision_score), (fit.recall, recall_score), (fit.f1, f1_score)):
        assert measured.value == pytest.approx(reference(accepted, kept))
        assert measured.low < measured.value < measured.high


def test_the_planted_rule_is_found_and_lies_in_its_intervals():
    a, b, noise = scores(1500, seed=1)
    planted = CurationRule(2.5, 3.5, 1.0)
    found = best_rule(a, b, keeps(planted, a, b) ^ (noise < 0.02), draws=60)
    assert found.fit.rule == planted
    assert found.fit.f1.value > 0.9
    for low, value, high in ((found.alpha.low, 2.5, found.alpha.high), (found.gamma.low, 1.0, found.gamma.high)):
        assert low <= value <= high and high - low < 1


def test_noise_gives_wide_intervals():
    a, b, noise = scores(100, seed=2)
    found = best_rule(a, b, noise < 0.5, draws=60)
    assert found.alpha.high - found.alpha.low + found.beta.high - found.beta.low > 1


def test_too_few_decisions_are_named_and_unjudged_ones_do_not_count():
    a, b, noise = scores(30)
    a[:15] = np.nan
    with pytest.raises(InputError, match="15 decided"):
        best_rule(a, b, noise < 0.5)
    with pytest.raises(InputError, match="both kinds"):
        best_rule(*scores(30)[:2], np.ones(30, dtype=bool))
    assert math.isnan(measure_rule(CurationRule(5, 0, 5), *scores(30)[:2], noise < 0.5).precision.value)


def test_a_judge_is_measured_as_scipy_measures_the_slack():
    a, b, noise = scores(200, seed=3)
    rule = CurationRule()
    accepted = keeps(rule, a, b) ^ (noise < 0.2)
    inside = [min(x - rule.alpha, rule.beta - y, x - y - rule.gamma) for x, y in zip(a, b, strict=True)]
    fit = measure_judge(rule, a, b, accepted)
    assert fit.tau == pytest.approx(kendalltau(inside, accepted).statistic)
    assert fit.spearman == pytest.approx(spearmanr(inside, accepted).statistic)
    assert fit.error.value == pytest.approx((noise < 0.2).mean())
    assert 0 < fit.error.low < fit.error.value < fit.error.high
    one_sided = measure_judge(rule, a, b, np.ones(len(a), bool))
    assert math.isnan(one_sided.tau) and one_sided.decisions == 200
    assert measure_judge(rule, a[:0], b[:0], accepted[:0]).decisions == 0
