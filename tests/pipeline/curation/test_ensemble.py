"""The ensemble against scikit-learn's non-negative least squares, and gold from decisions worked by hand."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from pipeline.curation.calibration import decision_targets, fit_calibration, split
from pipeline.curation.judges import Ensemble, fit_ensemble, members_first
from pipeline.records import InputError


@pytest.fixture(scope="module")
def made():
    random = np.random.default_rng(0)
    gold = random.uniform(0, 5, 400)
    values = {
        "guide:g": gold / 5 + random.normal(0, 0.3, 400),
        "likelihood:l": 3 * gold + random.normal(0, 4, 400) + 7,
        "digit:d": -gold + random.normal(0, 1, 400),
    }
    return values, gold


def test_weights_are_those_of_another_library(made):
    values, gold = made
    found = fit_ensemble("mine", values, gold, seed=3)
    fitted, _ = split(len(gold), 3)
    columns = np.stack([values[member] for member in found.members], axis=1)[fitted]
    scaled = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    other = LinearRegression(positive=True).fit(scaled, gold[fitted])
    assert found.weight == pytest.approx(other.coef_, abs=1e-5)
    assert found.members == ("digit:d", "guide:g", "likelihood:l") and found.weight[0] == 0
    assert found.raw(values)[fitted] == pytest.approx(other.predict(scaled) - other.intercept_, abs=1e-4)


def test_two_judges_do_better_than_either(made):
    values, gold = made
    found = fit_ensemble("mine", values, gold, seed=3)
    held_out = {
        name: fit_calibration(name, raw, gold, fitted_on="made", seed=3).spearman
        for name, raw in {**values, "ensemble": found.raw(values)}.items()
    }
    assert held_out["ensemble"] > max(held_out["guide:g"], held_out["likelihood:l"]) > 0.6
    wrong = fit_calibration("digit:d", values["digit:d"], gold, fitted_on="made", seed=3)
    assert wrong.is_worse_than_chance
    assert not fit_calibration("guide:g", values["guide:g"], gold, fitted_on="made", seed=3).is_worse_than_chance


def test_it_is_kept_and_read_back(made):
    values, gold = made
    found = fit_ensemble("mine", values, gold, seed=3)
    assert Ensemble.from_json(found.to_json()) == found
    assert fit_ensemble("mine", values, gold, seed=4).version != found.version
    assert np.isnan(found.raw(values | {"guide:g": np.full(400, np.nan)})).all()
    with pytest.raises(InputError, match="judge with them first"):
        found.raw({"guide:g": values["guide:g"]})


def test_what_cannot_be_fitted(made):
    values, gold = made
    with pytest.raises(InputError, match="at least two"):
        fit_ensemble("one", {"guide:g": values["guide:g"]}, gold, seed=0)
    with pytest.raises(InputError, match="same value"):
        fit_ensemble("flat", {"guide:g": values["guide:g"], "x:y": np.ones(400)}, gold, seed=0)
    with pytest.raises(InputError, match="at least 20"):
        fit_ensemble("few", {name: raw[:10] for name, raw in values.items()}, gold[:10], seed=0)
    with pytest.raises(InputError, match="say nothing"):
        fit_ensemble("no", {"x:1": values["digit:d"], "x:2": values["digit:d"] * 2}, gold, seed=0)


def test_members_come_before_their_ensemble():
    both = Ensemble("ensemble:e", ("a:1", "b:2"), (0, 0), (1, 1), (1, 1))
    assert members_first(["ensemble:e", "c:3", "b:2"], {"ensemble:e": both}) == ["a:1", "b:2", "c:3", "ensemble:e"]


def test_decisions_as_gold():
    actions = ["accept", "reject", "reject", "reject", "swap", "edit"]
    reasons = [None, "positive not entailed", "negative not contradicted", "unfit", "", ""]
    raw, gold = decision_targets(actions, reasons, np.arange(6.0), np.arange(6.0) + 10)
    assert raw.tolist() == [0, 10, 1, 12, 4, 14]
    assert gold.tolist() == [5, 0, 0, 5, 0, 5]
