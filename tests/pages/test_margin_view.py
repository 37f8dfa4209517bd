"""The view of hard negatives on a filled workspace, without a browser: what is drawn, listed and handed on."""

import numpy as np
import pandas as pd
import pytest

from tests.pages.conftest import texts
from tests.pages.filled import finished_job
from workbench.components.errors.margin_view import drawn_rows, margin_figure
from workbench.store.files import Slices

VIEW = {"errors": "Hard negatives"}


def made(n: int, seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "triplet_id": [f"t{i}" for i in range(n)],
            "premise": [f"He saw {i}." for i in range(n)],
            "positive": [f"{i} was seen." for i in range(n)],
            "hard_negative": [f"He did not see {i}." if i % 3 == 0 else f"She heard {i}." for i in range(n)],
            "source": ["import" if i % 2 else "llm, omega 0.6" for i in range(n)],
            "near": generator.uniform(0.6, 0.9, n),
            "far": np.where(np.arange(n) % 3 == 0, 0.95, 0.2),
        }
    )


@pytest.fixture
def measured(workspace, filled):
    """Sixty triplets, of which every third (the negated ones) is violated."""
    job_id = "20260101-000600-000-margins-9999"
    settings = {"encoder": "static-minilm", "encoder_id": "static-minilm", "corpus": filled["snapshot"]}
    folder = finished_job(workspace, job_id, "margins", [], total=60, settings=settings)
    known = workspace.store.triplets.attempts()
    assert not known.empty
    frame = made(60)
    ids = [f"{filled['attempt']}-{i:02d}" for i in range(8)]
    frame.loc[range(0, 24, 3), "triplet_id"] = ids  # violated ones that the store knows
    frame.to_parquet(folder.out / "margins.parquet", index=False)
    return filled


def shown(draw, filled, **more):
    return draw("error_analysis", candidate="static-minilm", triplets=filled["snapshot"], **VIEW, **more)


def test_violated_triplets_are_counted_and_listed_first(draw, measured):
    app = shown(draw, measured)
    assert not app.exception and not app.error
    buttons = {button.key: button for button in app.button}
    assert buttons["margin_Violated"].label == "20"
    [rows] = [frame.value for frame in app.dataframe if "gap" in frame.value]
    assert len(rows) == 20 and rows["gap"].is_monotonic_increasing and (rows["gap"] < 0).all()
    buttons["margin_All"].click().run()
    [rows] = [frame.value for frame in app.dataframe if "gap" in frame.value]
    assert len(rows) == 60
    [slices] = [frame.value for frame in app.dataframe if "Slice" in frame.value]
    assert slices["Slice"].iloc[0] == "negation on one side"
    assert {"source import", "source llm, omega 0.6"} <= set(slices["Slice"])


def test_a_measurement_is_asked_for_before_there_is_one(draw, filled, workspace):
    app = draw("error_analysis", candidate="static-minilm", triplets="current", **VIEW)
    assert "Not measured yet" in texts(app)
    assert not app.exception


def test_without_triplets_the_way_leads_to_generation(draw, workspace):
    app = draw("error_analysis", **VIEW)
    assert "No triplets yet" in texts(app) and not app.exception


def test_the_queue_keeps_to_a_slice(draw, workspace, measured):
    ids = [f"{measured['attempt']}-{i:02d}" for i in (2, 5)]
    saved = Slices(workspace.root).add("two", ids, origin="test")
    app = draw("curate", view="Queue", attempt=measured["attempt"], among=saved.slice_id)
    assert not app.exception
    assert "0 of 2 decided" in texts(app) or "0 of 2 decided" in str([p.proto.text for p in app.get("progress")])
    app = draw("curate", view="List", attempt=measured["attempt"], among=saved.slice_id)
    [rows] = [frame.value for frame in app.dataframe if "hard_negative" in frame.value]
    assert len(rows) == 2


def test_colours_say_which_side_of_the_diagonal_a_point_lies_on():
    figure = margin_figure(made(30), 0.1)
    symbols = figure.data[-1].marker.symbol
    assert [symbol == "diamond" for symbol in symbols] == [i % 3 == 0 for i in range(30)]
    assert [trace.name for trace in figure.data[:2]] == ["equally near", "margin 0.10"]


def test_of_very_many_triplets_the_worst_are_drawn():
    many = made(30_000)
    drawn = drawn_rows(many)
    gap = many["near"] - many["far"]
    assert len(drawn) == 20_000 and drawn.index.is_unique
    assert set(gap.nsmallest(10_000).index) <= set(drawn.index)
