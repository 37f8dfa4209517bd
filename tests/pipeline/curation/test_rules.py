import numpy as np
import pytest

from pipeline.config import RULE_PRESETS, CurationRule
from pipeline.curation.rules import Funnel, funnel, keeps

A = np.array([3.0, 2.99, 4.0, 4.0, 3.1, np.nan])
B = np.array([2.9, 1.00, 3.0, 3.1, 3.0, 1.0])


def test_each_condition_at_its_edge():
    rule = CurationRule(alpha=3, beta=3, gamma=0.1)
    assert keeps(rule, A, B).tolist() == [True, False, True, False, True, False]


def test_changing_any_field_changes_the_result():
    base = {"alpha": 2.0, "beta": 4.0, "gamma": 0.5}
    a, b = np.meshgrid(np.linspace(0, 5, 21), np.linspace(0, 5, 21))
    kept = keeps(CurationRule(**base), a.ravel(), b.ravel()).sum()
    for name in base:
        assert keeps(CurationRule(**{**base, name: base[name] + 0.5}), a.ravel(), b.ravel()).sum() != kept


def test_rule_equals_its_definition_row_by_row():
    generator = np.random.default_rng(0)
    a, b = generator.uniform(0, 5, size=(2, 500))
    rule = CurationRule(alpha=2.5, beta=3.5, gamma=0.25)
    one_by_one = [x >= 2.5 and y <= 3.5 and x >= y + 0.25 for x, y in zip(a, b, strict=True)]
    assert keeps(rule, a, b).tolist() == one_by_one
    assert 0 < sum(one_by_one) < 500


def test_funnel_counts_each_condition_alone_and_unjudged_apart():
    assert funnel(CurationRule(alpha=3, beta=3, gamma=0.1), A, B) == Funnel(
        judged=5, kept=3, lost_by_alpha=1, lost_by_beta=1, lost_by_gamma=0, unjudged=1
    )
    assert funnel(CurationRule(alpha=0, beta=5, gamma=1.0), A, B).lost_by_gamma == 3


def test_keep_all_keeps_all_that_was_judged():
    assert keeps(RULE_PRESETS["keep all"], A, B).tolist() == [True] * 5 + [False]


def test_empty_and_unequal_input():
    assert keeps(CurationRule(), np.array([]), np.array([])).shape == (0,)
    with pytest.raises(ValueError, match="same shape"):
        keeps(CurationRule(), np.zeros(2), np.zeros(3))
