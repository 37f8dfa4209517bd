"""The hygiene view on a real look without a guide: it finds, rejects in one step, and takes it back."""

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from pipeline.records import text_id
from tests.pages.conftest import Draw
from tests.workbench.store_samples import add_import
from workbench.actions.curation import start_hygiene
from workbench.components.curate.hygiene_duplicates import group_table, masked_figure
from workbench.workspace import Workspace

ROWS = [("A man reads.", "Someone reads.", "Nobody reads."), ("a man reads", "someone reads", "nobody reads")]
ROWS += [("It rains today.", "it rains today", "It is dry.")]


@pytest.fixture
def attempt(workspace: Workspace) -> str:
    frame = pd.DataFrame(ROWS, columns=["premise", "positive", "hard_negative"])
    frame["premise_id"] = frame["premise"].map(text_id)
    return add_import(workspace.store, "three", "three.csv", frame)


def choose(app: AppTest, key: str, value: str) -> AppTest:
    [control] = [control for control in app.segmented_control if control.key == key]
    return control.set_value(value).run()


def test_without_a_look_the_form_is_there(draw: Draw, attempt: str) -> None:
    app = draw("curate", view="Hygiene")
    assert not app.exception
    assert "Not checked yet" in [heading.value for heading in app.subheader]
    assert app.button(key="hygiene_start").label == "Check triplets"


def test_found_rejected_and_taken_back(draw: Draw, workspace: Workspace, attempt: str) -> None:
    job = start_hygiene(workspace, attempt_ids=[attempt], guide=None)["job_id"]
    assert workspace.wait(job, timeout_s=120).state == "finished"
    app = draw("curate", view="Hygiene")
    assert not app.exception
    assert app.button(key="keep_all").label == "Keep one of each of 1 group, reject 1"
    app.button(key="keep_all").click().run()
    latest = workspace.store.decisions.latest()
    assert latest[["triplet_id", "action"]].values.tolist() == [[f"{attempt}-1", "reject"]]
    assert any("one of each group was kept" in message.value for message in app.success)
    app.button(key="hygiene_undo").click().run()
    assert workspace.store.decisions.latest().empty
    app = choose(app, "hygiene_part", "Copies")
    assert "positive equals the premise" in app.dataframe[0].value["finding"].tolist()
    app.button(key="copies_reject").click().run()
    assert workspace.store.decisions.latest()["reason"].tolist() == ["copy"]
    assert any("All findings are rejected" in message.value for message in app.success)
    app = choose(app, "hygiene_part", "Leakage")
    assert any("was not checked" in message.value for message in app.info)


def test_the_curve_counts_pairs_above_each_threshold() -> None:
    cosine = np.array([0.9, 0.8, 0.6, 0.5])
    curve = masked_figure(cosine, candidates=1000, phi=0.7).data[0]
    assert list(curve.y) == [float((cosine > x).sum()) for x in curve.x]


def test_groups_show_what_would_be_kept() -> None:
    ranked = pd.DataFrame(
        {"group": [1, 1, 0], "kind": "near", "similarity": [0.9, 0.8, 1.0], "premise": ["best", "other", "x"]}
    )
    assert group_table(ranked).values.tolist() == [[1, "near", 2, 0.8, "best"], [0, "near", 1, 1.0, "x"]]
