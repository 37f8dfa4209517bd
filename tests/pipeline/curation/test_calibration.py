import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.curation.calibration import Calibration, default_calibration, fit_calibration, read_calibrations
from pipeline.records import InputError

ASSETS = Path(__file__).resolve().parents[3] / "assets"


def sample(n=800, noise=0.05, seed=0):
    """Raw values with a known curve: gold = 5 raw^2 on 0..1, with noise."""
    generator = np.random.default_rng(seed)
    raw = generator.uniform(0, 1, size=n)
    return raw, np.clip(5 * raw**2 + noise * generator.normal(size=n), 0, 5)


def fit(raw, gold, **options):
    return fit_calibration("judge", raw, gold, fitted_on="made up", seed=0, **options)


def test_recovers_a_known_curve():
    calibration = fit(*sample())
    grid = np.linspace(0.05, 0.95, 40)
    np.testing.assert_allclose(calibration.apply(grid), 5 * grid**2, atol=0.2)
    assert calibration.mean_absolute_error < 0.15
    assert calibration.spearman > 0.99
    assert (calibration.pairs_fit, calibration.pairs_held_out) == (640, 160)


def test_is_monotone_and_clipped_whatever_the_data():
    for seed in range(20):
        generator = np.random.default_rng(seed)
        calibration = fit(generator.normal(size=60).round(1), generator.uniform(0, 5, size=60))
        scores = calibration.apply(np.linspace(-10, 10, 500))
        assert np.all(np.diff(scores) >= 0)
        assert scores.min() >= 0
        assert scores.max() <= 5
        assert len(calibration.raw) <= 10


def test_held_out_figures_are_not_those_of_the_fit():
    # Noise alone: any skill reported would be skill on pairs the fit has seen.
    generator = np.random.default_rng(1)
    calibration = fit(generator.normal(size=2000), generator.uniform(0, 5, size=2000))
    assert abs(calibration.spearman) < 0.12
    assert calibration.mean_absolute_error == pytest.approx(1.25, abs=0.12)


def test_missing_values_are_left_out_and_stay_missing():
    raw, gold = sample(100)
    raw[:10] = np.nan
    calibration = fit(raw, gold)
    assert calibration.pairs_fit + calibration.pairs_held_out == 90
    assert np.isnan(calibration.apply(np.array([np.nan, 0.5]))).tolist() == [True, False]


@pytest.mark.parametrize(("raw", "said"), [(np.arange(5.0), "at least 20"), (np.ones(50), "same value")])
def test_what_cannot_be_calibrated_is_said(raw, said):
    with pytest.raises(InputError, match=said):
        fit(raw, np.linspace(0, 5, len(raw)))


def test_version_changes_with_the_curve_only():
    raw, gold = sample()
    assert fit(raw, gold).version == fit(raw, gold).version
    assert fit(raw, gold).version != fit(raw, 5 - gold[::-1]).version


def test_survives_json(tmp_path):
    calibration = fit(*sample())
    content = json.dumps({"calibrations": [calibration.to_json()]})
    (tmp_path / "calibrations.json").write_text(content, encoding="utf-8")
    assert read_calibrations(tmp_path) == [calibration]
    assert default_calibration("judge", tmp_path) == calibration
    assert default_calibration("another", tmp_path) is None
    assert read_calibrations(tmp_path / "absent") == []


@pytest.mark.parametrize("text", ["", "[]", '{"calibrations": [{"judge_id": "x"}]}'])
def test_damaged_file_is_refused(tmp_path, text):
    (tmp_path / "calibrations.json").write_text(text)
    with pytest.raises(InputError):
        read_calibrations(tmp_path)


def test_a_falling_curve_is_refused():
    fields = fit(*sample()).to_json()
    with pytest.raises(InputError, match="not a monotone curve"):
        Calibration.from_json(fields | {"score": fields["score"][::-1]})


def test_shipped_calibrations_are_figures_with_provenance():
    shipped = read_calibrations(ASSETS)
    assert "guide:all-MiniLM-L6-v2" in {c.judge_id for c in shipped}
    for calibration in shipped:
        assert calibration.fitted_on
        assert calibration.pairs_held_out >= 100
        assert 0.5 < calibration.spearman < 1
        assert 0 < calibration.mean_absolute_error < 1.2
    content = json.loads((ASSETS / "calibrations.json").read_text())
    texts = [v for entry in content["calibrations"] for v in entry.values() if isinstance(v, str)]
    assert all(len(text) < 40 for text in texts), "no sentence of anyone's data is shipped"
