"""The view Contrast: the example of the lens, and the blind test of two runs."""

import json

import pandas as pd
import pytest

from pipeline.generation.lens import LensRecord
from pipeline.records import Side, text_id
from tests.pages.conftest import Draw, texts
from tests.pages.filled import finished_job, triplet_row
from tests.pages.test_pages import assert_healthy
from workbench.actions.generation import vote
from workbench.components.generate.contrast_view import Pair, comparisons, pairs_of
from workbench.paths import LENS_SAMPLE
from workbench.store.votes import Votes
from workbench.workspace import Workspace

PREMISES = [f"Premise {number} waits." for number in range(12)]


@pytest.fixture
def two_runs(workspace: Workspace) -> Workspace:
    """Two runs over the same premises, at two omegas; of the first premise both wrote the same positive."""
    frame = pd.DataFrame({"premise_id": [text_id(text) for text in PREMISES], "text": PREMISES})
    workspace.store.premises.add_corpus("few", "few.txt", frame, {}, 0)
    for omega in (0.0, 0.6):
        run = f"20260101-00000{int(10 * omega)}-000-generate-aaaa"
        rows = [
            triplet_row(run, number, text, of=100)
            | {"omega": omega, "positive": "Same." if not number else f"Positive {number} at {omega}."}
            | {"hard_negative": f"Negative {number} at {omega}."}
            for number, text in enumerate(PREMISES)
        ]
        finished_job(workspace, run, "generate", rows, total=len(rows), title=f"run at {omega}")
        workspace.wait(run, timeout_s=20)
    return workspace


def test_the_lens_shows_an_example_of_either_side_before_anything_was_recorded(
    draw: Draw, two_runs: Workspace
) -> None:
    sample = json.loads(LENS_SAMPLE.read_text(encoding="utf-8"))
    for side, found in sample["replies"].items():
        steps = LensRecord.from_json(found).steps
        assert any(step.chosen for step in steps), f"the contrast changes no token of the {side}"
    app = draw("generate", generation="Contrast")
    assert_healthy(app)
    assert "An example to begin with" in texts(app)
    assert len(app.get("plotly_chart")) == 1
    app.segmented_control(key="lens_side").set_value("hard_negative").run()
    assert_healthy(app)
    assert app.slider(key="lens_omega_sample_hard_negative").value == sample["replies"]["hard_negative"]["omega"]


def test_two_runs_over_the_same_premises_are_compared_without_their_names(draw: Draw, two_runs: Workspace) -> None:
    [comparison] = comparisons(two_runs).values()
    pairs = list(pairs_of(two_runs, comparison))
    assert len(pairs) == 2 * len(PREMISES) - 1, "the equal positives are no pair"
    assert {pair.order for pair in pairs} == {(0, 1), (1, 0)}
    app = draw("generate", generation="Contrast", contrast="Blind test")
    assert_healthy(app)
    shown = "\n".join(one.value for one in app.markdown)
    assert pairs[0].premise.split(".")[0] in shown and "ω" not in shown
    app.button(key="blind_1").click().run()
    assert_healthy(app)
    [kept] = Votes(two_runs.root).list()
    assert (kept.pair_id, kept.preferred) == (pairs[0].pair_id, comparison.names[pairs[0].order[0]])
    assert "1 vote, 22 pairs left for me" in texts(app)
    app.button(key="blind_Z").click().run()
    assert Votes(two_runs.root).list() == []


def test_the_result_comes_after_ten_votes_with_its_interval(draw: Draw, two_runs: Workspace) -> None:
    [comparison] = comparisons(two_runs).values()
    for number, pair in enumerate(list(pairs_of(two_runs, comparison))[:12]):
        preferred = "ω 0.6" if number < 10 else ""
        vote(
            two_runs,
            comparison=comparison.key,
            pair_id=pair.pair_id,
            side=pair.side,
            preferred=preferred,
            annotator="bob",
        )
        if number == 8:
            assert "appears after 10 votes" in texts(draw("generate", generation="Contrast", contrast="Blind test"))
    app = draw("generate", generation="Contrast", contrast="Blind test")
    assert_healthy(app)
    assert "10 votes for ω 0.6, 0 for ω 0, 2 without a preference, of 1 person: ω 0.6 is preferred" in texts(app)
    assert "12 votes, 23 pairs left for me" in texts(app), "another annotator's votes take no pair away"


def test_the_order_is_of_the_pair_and_not_of_the_visit() -> None:
    pair = Pair("A premise.", Side.POSITIVE, ("one", "two"))
    assert pair.order == Pair("A premise.", Side.POSITIVE, ("one", "two")).order
    orders = [Pair(f"Premise {n}.", Side.POSITIVE, ("one", "two")).order for n in range(200)]
    assert 70 < orders.count((0, 1)) < 130
