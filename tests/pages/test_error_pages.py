"""Slices, comparisons, leaderboard and behavioural tests on a filled workspace, without a browser."""

import json

import numpy as np
import pandas as pd
import pytest

from pipeline.evaluation.behaviour import built_in_cases
from pipeline.evaluation.leaderboard import PUBLISHED
from pipeline.records import InputError
from tests.pages.conftest import texts
from tests.pages.filled import finished_job
from workbench.components.encoder_comparison import moved_pairs
from workbench.components.errors.behaviour_view import passed_grid
from workbench.components.errors.slice_actions import triplets_by_words, triplets_of_kind
from workbench.components.evaluate.evaluate_form import TRANSFER, task_table
from workbench.components.evaluate.leaderboard_view import entries_of, leaderboard_style
from workbench.components.slice_view import interval_figure, slice_colour, task_slices
from workbench.results import members_of, same_pairs
from workbench.store.files import OwnTests, PairSlices

FARTHER = "The sentence that is farther"
PUBLISHED_ROWS = len(PUBLISHED)


@pytest.fixture
def behaved(workspace, filled):
    """A behavioural run in which every third case fails."""
    job_id = "20260101-000500-000-behaviour-ffff"
    folder = finished_job(workspace, job_id, "behaviour", [], total=1, settings={"encoder_id": "static-minilm"})
    rows = [
        {
            "case_id": case.case_id,
            "capability": case.capability,
            "kind": case.kind,
            "sentence": case.sentence,
            "other": case.other,
            "third": case.third,
            "similarity": 0.5,
            "third_similarity": 0.4,
            "passed": number % 3 != 0,
            "margin": 0.1 if number % 3 else -0.1,
        }
        for number, case in enumerate(built_in_cases())
    ]
    pd.DataFrame(rows).to_parquet(folder.out / "cases.parquet", index=False)
    return job_id


@pytest.mark.parametrize("view", ["Pairs and slices", "Hard negatives", "Two encoders", "Behavioural tests"])
def test_every_view_of_errors_draws_filled(draw, behaved, view):
    app = draw("error_analysis", errors=view)
    assert not app.exception
    assert not app.error


@pytest.mark.parametrize("view", ["Scores", "Leaderboard", "Two encoders", "Space", "Transfer", "Retrieval"])
def test_every_view_of_evaluate_draws_filled(draw, filled, workspace, view):
    out = workspace.root / "jobs" / "20260101-000300-000-evaluate-dddd" / "out"
    measures = {"alignment": 0.2, "uniformity": -2.0, "anisotropy": 0.1, "hubness": 1.0, "effective_rank": 80.0}
    record = {"encoder_id": "static-minilm", "tasks": ["STSB-test"], "sentences": 60, "positives": 5} | measures
    (out / "space.json").write_text(json.dumps(record))
    app = draw("evaluate", evaluation=view)
    assert not app.exception
    assert not app.error


def test_behavioural_tests_can_be_asked_for_before_any_score(draw, workspace):
    app = draw("error_analysis", errors="Behavioural tests")
    assert not app.exception
    assert "No behavioural results yet" in texts(app)


def test_failing_tests_of_a_capability_are_listed(draw, behaved):
    app = draw("error_analysis", errors="Behavioural tests", capability="negation")
    failing = [frame.value for frame in app.dataframe if "margin" in frame.value]
    assert len(failing) == 1 and (failing[0]["margin"] < 0).all() and len(failing[0]) == 10


def test_the_worst_capability_is_open_first_and_the_grid_counts_the_tests(draw, behaved):
    app = draw("error_analysis", errors="Behavioural tests")
    cases = pd.DataFrame([(case.capability, number % 3 != 0) for number, case in enumerate(built_in_cases())])
    shares = cases.groupby(0, sort=False)[1].mean()
    assert app.selectbox(key="pick_capability").value == shares.idxmin() != shares.index[0]
    grid = next(frame.value for frame in app.dataframe if "negation (30)" in frame.value.index)
    assert len(grid) == len(shares)


def test_leaderboard_keeps_missing_cells_and_tells_published_rows_apart():
    frame = pd.DataFrame({"encoder_id": ["a", "a", "b"], "task": ["STS12", "STSB-test", "STS12"]})
    rows = entries_of(frame.assign(spearman=[0.5, 0.7, 0.6]), {"a": "first", "b": "second"})
    assert [(row.name, row.average, row.averaged_over) for row in rows] == [("first", 60.0, 2), ("second", 60.0, 1)]
    shown = leaderboard_style(rows).data
    assert np.isnan(shown.loc[1, "STSB-test"]) and shown.loc[0, "Source"] == "measured here"
    marked = leaderboard_style(entries_of(frame.assign(spearman=[0.5, 0.7, 0.6]), {}, {"b"}))
    marked._compute()
    assert {place for place, css in marked.ctx.items() if css} == {(1, 1)}, "the mean that is tied with the best"
    html = leaderboard_style(rows).to_html()
    assert "–" in html and ">0.00<" not in html


def test_a_missing_task_leaves_the_mean_open_and_is_not_0():
    scores = pd.DataFrame(
        {
            "encoder_id": ["a", "a", "b", "b"],
            "task": ["TREC", "MR", "MR", "own"],
            "accuracy": [0.9, 0.7, 0.8, 0.5],
            "examples": 10,
            "job_id": "j",
        }
    )
    table = task_table(scores, TRANSFER)
    assert list(table.columns) == ["Mean", "MR", "TREC", "own"]
    assert np.isnan(table.loc["a", "own"]) and np.isnan(table.loc["a", "Mean"])
    whole = task_table(scores[scores["task"] == "MR"], TRANSFER)
    assert whole["Mean"].to_dict() == pytest.approx({"b": 80.0, "a": 70.0}) and list(whole.index) == ["b", "a"]


def made_pairs(n=60):
    generator = np.random.default_rng(0)
    second = [f"He did not see {i}." if i % 3 == 0 else f"He saw it, number {i}." for i in range(n)]
    gold = generator.uniform(0, 5, n)
    frame = pd.DataFrame(
        {"sentence1": [f"He saw {i}." for i in range(n)], "sentence2": second, "subset": "", "gold": gold}
    )
    frame["predicted"] = np.where(np.arange(n) % 3 == 0, 5 - gold, gold) + generator.normal(0, 0.1, n)
    frame["error"] = frame["predicted"].rank(pct=True) - frame["gold"].rank(pct=True)
    return frame


def test_planted_slice_is_found_first_and_coloured_as_worse():
    pairs = made_pairs()
    found = task_slices("made", 0.0, pairs)
    worst = found.scores[0]
    assert worst.name == "negation on one side" and worst.cost > 0.1 and worst.difference.is_settled
    assert found.members["negation on one side"].sum() == 20
    colours = {slice_colour(row) for row in found.scores}
    assert len(colours) > 1
    assert len(interval_figure(found.scores).data) == len(found.scores) + 1


def test_a_saved_slice_stands_among_the_others_on_its_task(draw, workspace, filled):
    pairs = made_pairs()
    chosen = list(zip(pairs["sentence1"], pairs["sentence2"], strict=True))[:12]
    saved = PairSlices(workspace.root).add(" odd ones ", chosen, task="STSB-test", origin="test")
    found = task_slices("made", 1.0, pairs.sample(frac=1, random_state=0), (saved,))
    assert found.members["saved odd ones"].sum() == 12
    assert any((row.group, row.name, row.pairs) == ("saved", "odd ones", 12) for row in found.scores)
    assert PairSlices(workspace.root).list("STS12") == []
    for name, rows, said in (("odd ones", chosen, "already"), (" ", chosen, "name"), ("none", [], "one pair")):
        with pytest.raises(InputError, match=said):
            PairSlices(workspace.root).add(name, rows, task="STSB-test", origin="test")
    app = draw("error_analysis", errors="Pairs and slices", encoder="static-minilm", task="STSB-test")
    app.text_input(key="slice_name").set_value("from the page")
    next(button for button in app.button if button.label == "Save").click().run()
    assert not app.exception and not app.error
    assert [item.name for item in PairSlices(workspace.root).list("STSB-test")] == ["odd ones", "from the page"]


def test_subsets_of_one_source_are_a_slice_and_a_source_of_one_subset_is_not():
    frame = made_pairs(40).assign(subset=["MSRpar"] * 10 + ["headlines"] * 10 + ["MSRvid"] * 20)
    members = members_of(frame)
    assert members["source", "news"].sum() == 20
    assert ("source", "captions") not in members and members["subset", "MSRvid"].sum() == 20


def test_pairs_that_moved_are_sorted_by_how_far():
    before, after = made_pairs(), made_pairs()
    after["predicted"] = after["gold"]
    after["error"] = 0.0
    moved = moved_pairs(before, after)
    assert moved["change"].iloc[0] == pytest.approx(before["error"].abs().max())
    assert moved["change"].is_monotonic_decreasing
    assert same_pairs(before, after) and not same_pairs(before, after.head(10))
    assert not same_pairs(before, after.assign(gold=1.0))


def test_triplets_of_a_slice_are_those_its_rule_fits():
    triplets = pd.DataFrame(
        {
            "triplet_id": ["a", "b"],
            "premise": ["He came.", "He came."],
            "hard_negative": ["He did not come.", "She left."],
        }
    )
    assert triplets_of_kind(triplets, "negation on one side") == ["a"]
    assert triplets_of_kind(triplets, "no such slice") == []
    assert triplets_of_kind(triplets.head(0), "negation on one side") == []


def test_triplets_like_a_selection_are_those_that_share_its_words():
    triplets = pd.DataFrame(
        {
            "triplet_id": ["a", "b", "c"],
            "premise": ["A red kite.", "He came.", "The storm passed."],
            "hard_negative": ["A blue boat.", "She left.", "A storm is coming."],
        }
    )
    pairs = pd.DataFrame({"sentence1": ["A storm at sea."], "sentence2": ["The storm ended."]})
    assert triplets_by_words(triplets, pairs)[0] == "c"
    assert triplets_by_words(triplets.head(0), pairs) == []


def test_a_test_is_added_and_taken_back_on_the_page(draw, workspace):
    app = draw("error_analysis", errors="Behavioural tests")
    app.selectbox(key="own_test_kind").set_value("directional").run()
    for label, text in (("Sentence", "It is 5 km."), ("Other sentence", "It is 5000 m."), (FARTHER, "It is 5 m.")):
        next(field for field in app.text_input if field.label == label).set_value(text)
    next(box for box in app.selectbox if box.label == "Capability").set_value("negation")
    next(button for button in app.button if button.label == "Add the test").click().run()
    assert not app.exception and not app.error
    [case] = OwnTests(workspace.root).list()
    assert (case.capability, case.kind, case.third) == ("negation", "directional", "It is 5 m.")
    app.run()
    assert "It is 5000 m" in texts(app)
    app.button(key=f"retract_{case.case_id}").click().run()
    assert OwnTests(workspace.root).list() == [] and not app.exception


def test_the_prompt_set_offered_first_fits_the_slice(draw, behaved):
    app = draw("error_analysis", errors="Behavioural tests", capability="number change")
    offered = next(box for box in app.selectbox if box.label == "Prompt set")
    assert offered.value == "numbers" and "default" in offered.options


def test_grid_leaves_untested_capabilities_open():
    one = pd.DataFrame({"capability": ["x", "x", "y"], "passed": [True, False, True]})
    two = pd.DataFrame({"capability": ["x"], "passed": [True]})
    grid = passed_grid({"one": one, "two": two})
    assert grid.loc["x"].tolist() == [0.5, 1.0] and grid.loc["y", "one"] == 1.0 and np.isnan(grid.loc["y", "two"])
