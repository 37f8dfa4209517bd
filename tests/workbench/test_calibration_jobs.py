"""Calibrations, ensembles and what becomes of kept scores, as jobs with the real guide and the embedded encoder."""

import numpy as np
import pandas as pd
import pytest

from pipeline.curation.calibration import Calibration
from pipeline.records import InputError, text_id
from tests.workbench.store_samples import add_import
from workbench.actions import ACTIONS
from workbench.actions.curation import calibrated_judges
from workbench.store.decisions import Decision
from workbench.workspace import Workspace

GUIDE, STATIC = "guide:all-MiniLM-L6-v2", "guide:static-minilm"
THINGS = "dog cat man woman child horse boat train plane car bird fish house tree river mountain".split()
ACTS = ["sleeps", "runs fast", "waits outside", "falls down", "is very old"]


@pytest.fixture
def workspace(tmp_path):
    with Workspace(tmp_path / "ws") as opened:
        yield opened


@pytest.fixture
def gold(tmp_path):
    """Eighty pairs: the more of two sentences is the same, the higher their score."""
    folder = tmp_path / "gold"
    folder.mkdir()
    lines = ["score\tsentence1\tsentence2"]
    for n in range(80):
        thing, other = THINGS[n % 16], THINGS[(n * 7 + 3) % 16]
        act, another = ACTS[n % 5], ACTS[(n + 2) % 5]
        kinds = [(5, thing, act), (3, thing, another), (2, other, act), (0, other, another)]
        score, what, doing = kinds[n % 4]
        lines.append(f"{score}\tThe {thing} {act}.\tA {what} {doing}.")
    (folder / "STSB-dev.tsv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def attempt(workspace):
    rows = [(f"The {thing} sleeps.", f"A {thing} is asleep.", f"The {thing} is awake.") for thing in THINGS]
    frame = pd.DataFrame(rows, columns=["premise", "positive", "hard_negative"])
    frame["premise_id"] = frame["premise"].map(text_id)
    return add_import(workspace.store, "beasts", "beasts.csv", frame)


def finished(workspace, answer):
    view = workspace.wait(answer["job_id"], timeout_s=240)
    assert view.state == "finished", view.message
    return view


def scores(workspace, judge_id):
    with workspace.store.database.read() as cursor:
        return cursor.execute(
            "SELECT triplet_id, calibration, a_raw, b_raw, a, b FROM judgements WHERE judge_id = ? ORDER BY 1",
            [judge_id],
        ).df()


def test_a_calibration_is_versioned_and_maps_kept_scores_anew(workspace, attempt, gold):
    finished(workspace, ACTIONS["start_judge"](workspace, attempt_ids=[attempt], judges=[GUIDE]))
    before = scores(workspace, GUIDE)
    shipped = calibrated_judges(workspace)[GUIDE]
    assert set(before["calibration"]) == {shipped.version}
    with pytest.raises(InputError, match="There is no calibration for guide:static-minilm"):
        ACTIONS["start_judge"](workspace, attempt_ids=[attempt], judges=[STATIC])
    answer = ACTIONS["start_calibrate"](
        workspace, attempt_ids=[attempt], judges=[GUIDE, STATIC], gold_dir=str(gold), pairs=80, ensemble="both"
    )
    finished(workspace, answer)
    newest = workspace.store.calibrations.newest()
    assert set(newest) == {GUIDE, STATIC, "ensemble:both"}
    curve = newest[GUIDE].calibration
    assert curve.fitted_on == "STSB-dev" and (curve.pairs_fit, curve.pairs_held_out) == (64, 16)
    assert len(newest[GUIDE].points) == 16 and curve.spearman > 0.3
    after = scores(workspace, GUIDE)
    assert set(after["calibration"]) == {curve.version} != {shipped.version}
    pd.testing.assert_series_equal(after["a_raw"], before["a_raw"])
    np.testing.assert_allclose(after["a"], curve.apply(before["a_raw"].to_numpy()))
    assert scores(workspace, STATIC).empty, "it had judged nothing"

    # The ensemble can judge now: its members are asked first, and its raw value is their weighted sum.
    finished(workspace, ACTIONS["start_judge"](workspace, attempt_ids=[attempt], judges=["ensemble:both"]))
    ensemble = workspace.store.calibrations.ensembles()["ensemble:both"]
    found, members = scores(workspace, "ensemble:both"), {name: scores(workspace, name) for name in (GUIDE, STATIC)}
    assert len(found) == len(THINGS) and ensemble.members == (GUIDE, STATIC)
    expected = sum(
        weight * (members[name]["a_raw"] - mean) / std
        for name, weight, mean, std in zip(
            ensemble.members, ensemble.weight, ensemble.mean, ensemble.std, strict=True
        )
    )
    np.testing.assert_allclose(found["a_raw"], expected)
    assert set(found["calibration"]) == {newest["ensemble:both"].calibration.version}


def test_an_ensemble_of_judges_that_have_judged_needs_no_judging(workspace, attempt, gold):
    finished(
        workspace,
        ACTIONS["start_judge"](workspace, attempt_ids=[attempt], judges=[GUIDE, STATIC], gold_dir=str(gold)),
    )
    assert {fitted.calibration.judge_id for fitted in workspace.store.calibrations.list()} == {GUIDE, STATIC}
    finished(
        workspace,
        ACTIONS["start_calibrate"](
            workspace, attempt_ids=[attempt], judges=[GUIDE, STATIC], gold_dir=str(gold), pairs=80, ensemble="both"
        ),
    )
    assert len(scores(workspace, "ensemble:both")) == len(THINGS)


def test_decisions_are_gold_too(workspace, attempt):
    finished(workspace, ACTIONS["start_judge"](workspace, attempt_ids=[attempt], judges=[GUIDE]))
    decisions = [Decision(f"{attempt}-{n}", "accept", annotator="ann") for n in range(len(THINGS))]
    workspace.store.decisions.append(decisions)
    finished(workspace, ACTIONS["start_calibrate"](workspace, attempt_ids=[attempt], judges=[GUIDE]))
    [fitted] = workspace.store.calibrations.list(GUIDE)
    assert fitted.calibration.fitted_on == "people's decisions"
    assert fitted.calibration.pairs_fit + fitted.calibration.pairs_held_out == 2 * len(THINGS)


def test_too_few_decisions_fail_with_a_sentence(workspace, attempt):
    finished(workspace, ACTIONS["start_judge"](workspace, attempt_ids=[attempt], judges=[GUIDE]))
    started = ACTIONS["start_calibrate"](workspace, attempt_ids=[attempt], judges=[GUIDE])
    view = workspace.wait(started["job_id"], timeout_s=120)
    assert view.state == "failed" and "0 usable gold pairs" in view.message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"judges": []}, "choose at least one"),
        ({"judges": [GUIDE], "ensemble": "x"}, "at least two judges"),
        ({"judges": ["ensemble:x"]}, "choose those"),
    ],
)
def test_what_cannot_be_calibrated(workspace, options, message):
    with pytest.raises(InputError, match=message):
        ACTIONS["start_calibrate"](workspace, attempt_ids=[], **options)


def test_the_table_keeps_a_version_as_it_was(store):
    curve = Calibration(GUIDE, "v1", (0.0, 1.0), (0.0, 5.0), 0.5, 1.0, "made up", 80, 20)
    row = {"table": "calibrations", "calibration": curve.to_json(), "points": [[0.5, 2]], "created_at": "2026-01-01"}
    with store.database.write() as cursor:
        assert store.calibrations.insert(cursor, [row, row | {"created_at": "2027"}, {"calibration": None}]) == 1
    [kept] = store.calibrations.list()
    assert (kept.calibration, kept.points, kept.created_at, kept.ensemble) == (
        curve,
        [(0.5, 2.0)],
        "2026-01-01",
        None,
    )
