"""Which file of a folder a judge is calibrated on, and the scale of its gold scores."""

import numpy as np
import pytest

from pipeline.curation.calibration import gold_pairs, gold_scale, tuning_tasks
from pipeline.evaluation.sts import StsTask
from pipeline.records import InputError
from pipeline.studies.data import DataSource


def write(folder, name, scores):
    lines = [f"{score}\tA dog runs, {n}.\tA cat sleeps, {n}." for n, score in enumerate(scores)]
    (folder / f"{name}.tsv").write_text("\n".join(["score\tsentence1\tsentence2", *lines]) + "\n")


def task(name, scores):
    return StsTask(name, [""] * len(scores), [""] * len(scores), np.array(scores, dtype=float), [""] * len(scores))


def test_stsb_dev_comes_before_sick_though_the_alphabet_says_otherwise(tmp_path):
    for name in ("SICKR-dev", "SICKR-train", "STSB-dev", "STSB-train", "Zeta-dev", "STSB-test"):
        write(tmp_path, name, [0, 2.5, 5] * 10)
    assert list(tuning_tasks(tmp_path)) == ["STSB-dev", "SICKR-dev", "Zeta-dev", "STSB-train", "SICKR-train"]
    assert gold_pairs(tmp_path).name == "STSB-dev"


def test_a_folder_without_dev_and_train_files_is_refused(tmp_path):
    write(tmp_path, "STSB-test", [0, 5])
    with pytest.raises(InputError, match="no -dev or -train file"):
        tuning_tasks(tmp_path)


@pytest.mark.parametrize(
    ("name", "scores", "scale"),
    [
        ("SICKR-dev", [1, 3.6, 5], (1, 5)),
        ("STSB-dev", [0, 2.4, 5], (0, 5)),
        ("STSB-dev", [1.2, 2.4, 3.8], (0, 5)),
        ("STSB-dev", [0, 0.48, 1], (0, 1)),
        ("mine-dev", [0.05, 0.5, 0.97], (0, 1)),
        ("mine-dev", [1, 2, 4.9], (1, 5)),
        ("mine-dev", [0, 2, 4], (0, 4)),
        ("mine-dev", [0, 2, 4.2], (0, 5)),
    ],
)
def test_the_scale_is_read_off_the_scores(name, scores, scale):
    assert gold_scale(task(name, scores)) == scale


@pytest.mark.parametrize("scores", [[-1, 0, 1], [0, 50, 100], [1, 7]])
def test_scores_on_no_known_scale_are_refused_with_their_range(scores):
    with pytest.raises(InputError, match=f"mine-dev has gold scores from {min(scores)} to {max(scores)}"):
        gold_scale(task("mine-dev", scores))


@pytest.mark.parametrize(("low", "high"), [(0, 1), (1, 5), (0, 4), (0, 5)])
def test_the_same_judgements_on_any_scale_become_the_same_gold(tmp_path, low, high):
    """What people say of a pair, as a share of the scale, times 5."""
    share = np.linspace(0, 1, 41)
    write(tmp_path, "mine-dev", (low + share * (high - low)).tolist())
    found = gold_pairs(tmp_path)
    places = [int(first.rpartition(" ")[2].strip(".")) for first, _ in found.pairs]
    np.testing.assert_allclose(found.gold, 5 * share[places], atol=1e-9)


def test_a_study_reads_its_gold_folder_by_the_same_rule(tmp_path, monkeypatch):
    """A judge that says what SICK's people said: 1 is the lowest score, so it becomes 0."""
    write(tmp_path, "SICKR-dev", np.linspace(1, 5, 200).tolist())
    monkeypatch.setattr(
        DataSource,
        "_judged",
        lambda self, pairs, judge: (np.array([float(a.split(", ")[1][:-1]) for a, _ in pairs]), 0),
    )
    curve = DataSource(study=None, cache=None)._fitted("made-up", tmp_path)
    np.testing.assert_allclose(curve.apply(np.array([0, 99.5, 199])), [0, 2.5, 5], atol=0.1)
    assert curve.fitted_on == "SICKR-dev"
    write(tmp_path, "STSB-dev", np.linspace(0, 5, 200).tolist())
    assert DataSource(study=None, cache=None)._fitted("made-up", tmp_path).fitted_on == "STSB-dev"
