"""Premises from scratch on the Generate page: the form, what it says will happen, coverage, outcomes, rows."""

from dataclasses import asdict, replace

import pandas as pd
import pytest

from pipeline.config import ScratchConfig
from pipeline.generation.premise_prompts import Length
from pipeline.generation.written_premises import Attempt, Cell, PremiseOutcome
from tests.pages.conftest import Draw, texts
from tests.pages.filled import TRICKY, finished_job
from tests.pages.test_pages import assert_healthy
from workbench.components.generate.scratch_view import MEANINGS, coverage_frame, coverage_style, plan, wanted_each
from workbench.jobs.handlers.premises import attempt_row, premise_row
from workbench.workspace import Workspace

CORPUS = "20260101-000900-000-write_premises-c"
CONFIG = ScratchConfig(topics=("dogs", "a *bold* topic"), genres=("caption", "news"), lengths=("short",), per_cell=2)


def attempt(topic: str, genre: str, number: int, text: str, outcome: str = "ok", reason: str = "") -> Attempt:
    cell = Cell(topic, genre, Length.SHORT)
    return Attempt(cell, number, text, Length.SHORT, PremiseOutcome(outcome), reason)


ATTEMPTS = [
    attempt("dogs", "caption", 0, "A dog runs on sand."),
    attempt("dogs", "caption", 1, TRICKY),
    attempt("dogs", "news", 0, "The dog show opens today."),
    attempt("dogs", "news", 1, "the dog", "malformed"),
    attempt("a *bold* topic", "caption", 0, "", "failed", "server said <b>no</b>"),
]


@pytest.fixture
def written(workspace: Workspace) -> Workspace:
    """A finished run of five attempts, as its worker leaves it."""
    rows = []
    for one in ATTEMPTS:
        rows.append(attempt_row(CORPUS, one))
        if one.outcome is PremiseOutcome.OK:
            rows.append(premise_row(CORPUS, one.text))
    rows.append({"table": "imports", "import_id": CORPUS, "kind": "corpus", "name": "mine", "created_at": "2026"})
    settings = {"config": asdict(CONFIG), "llm": {"name": "smollm2-135m"}, "corpus": "mine"}
    details = {
        "outcomes": {"ok": 3, "malformed": 1, "failed": 1},
        "reasons": {"server said <b>no</b>": 1},
        "full_cells": 1,
        "cells": 4,
    }
    folder = finished_job(workspace, CORPUS, "write_premises", rows, total=8, settings=settings)
    folder.write_status(replace(folder.status(), done=3, details=details))
    workspace.wait(CORPUS, timeout_s=20)
    return workspace


def test_without_a_corpus_the_llm_is_one_of_the_ways_to_begin(draw: Draw, workspace: Workspace) -> None:
    for page in ("home", "generate"):
        assert "Let an LLM write premises" in [button.label for button in draw(page).button]
    app = draw("generate", generation="Premises")
    assert_healthy(app)
    assert "48 topics × 8 genres × 3 lengths = 1,152 cells of 3: 3,456 premises" in texts(app)
    assert "No speed measured" in texts(app)
    assert "No premises from scratch yet" in texts(app)
    assert_healthy(draw("generate", generation="LLMs"))


def test_the_form_writes_premises_with_the_embedded_llm(draw: Draw, workspace: Workspace) -> None:
    app = draw("generate", generation="Premises")
    app.text_input(key="scratch_name").set_value("tiny")
    app.multiselect(key="scratch_topics").set_value(["dogs"])
    app.multiselect(key="scratch_genres").set_value(["caption"])
    app.multiselect(key="scratch_lengths").set_value(["short", "medium"])
    app.number_input(key="scratch_per_cell").set_value(1)
    app.run()
    assert "1 topic × 1 genre × 2 lengths = 2 cells of 1: 2 premises, in at most 6 attempts." in texts(app)
    app.button(key="scratch_start").click().run()
    assert_healthy(app)
    [job] = [job for job in workspace.jobs.list() if job.kind == "write_premises"]
    assert job.spec.corpus == "tiny" and job.spec.config.topics == ("dogs",)
    ended = workspace.wait(job.job_id, timeout_s=240)
    assert ended.state == "finished" and ended.done >= 1, ended.message
    app.run()
    assert_healthy(app)
    figures = {metric.label: metric.value for metric in app.metric}
    assert figures["Premises"] == f"{ended.done} / 2"
    [coverage, rows] = [frame.value for frame in app.dataframe]
    assert coverage.to_numpy().sum() == ended.done == len(rows)
    assert set(rows["text"]) == set(workspace.store.premises.rows(job.job_id)["text"])
    app.button(key="scratch_next").click().run()
    assert_healthy(app)
    assert app.selectbox(key="pick_corpus").value == job.job_id
    assert app.segmented_control(key="tabs_generation").value == "Run"


def test_coverage_outcomes_and_their_rows(draw: Draw, written: Workspace) -> None:
    app = draw("generate", generation="Premises")
    assert_healthy(app)
    assert TRICKY not in texts(app) and "<b>no</b>" not in texts(app), "raw text would be parsed as Markdown"
    figures = {metric.label: metric.value for metric in app.metric}
    assert figures == {"Premises": "3 / 8", "Full cells": "1 / 4", "Attempts": "5", "Kept": "60%"}
    table = app.dataframe[0].value
    assert table.to_numpy().tolist() == [[2, 1], [0, 0]]
    pills = app.pills(key=f"scratch_outcome_{CORPUS}")
    assert sorted(pills.options) == ["failed 1", "malformed 1", "ok 3"], "the counts add up to the attempts"
    assert sorted(app.dataframe[1].value["text"]) == sorted(one.text for one in ATTEMPTS[:3])
    pills.set_value("failed").run()
    assert app.dataframe[1].value["reason"].tolist() == ["server said <b>no</b>"]
    app.selectbox(key=f"scratch_topic_{CORPUS}").set_value("dogs").run()
    app.selectbox(key=f"scratch_genre_{CORPUS}").set_value("news").run()
    assert_healthy(app)
    assert sorted(app.pills(key=f"scratch_outcome_{CORPUS}").options) == ["malformed 1", "ok 1"]
    assert app.dataframe[1].value["text"].tolist() == ["The dog show opens today."]
    app.selectbox(key=f"scratch_topic_{CORPUS}").set_value("a *bold* topic").run()
    assert_healthy(app)
    assert "Nothing has been written here yet" in texts(app)


def test_a_scratch_corpus_is_like_any_other_on_the_page(draw: Draw, written: Workspace) -> None:
    app = draw("generate", generation="Run")
    assert_healthy(app)
    assert app.selectbox(key="pick_corpus").options == ["mine (3)"]


def test_coverage_by_hand() -> None:
    counts = pd.DataFrame(
        [("dogs", "news", "short", 2), ("dogs", "news", "long", 1), ("other", "news", "long", 9)],
        columns=["topic", "genre", "length", "premises"],
    )
    config = ScratchConfig(topics=("cats", "dogs"), genres=("news", "story"), per_cell=2)
    frame = coverage_frame(counts, config)
    assert frame.to_dict("index") == {"cats": {"news": 0, "story": 0}, "dogs": {"news": 3, "story": 0}}
    assert wanted_each(config) == 6
    html = coverage_style(frame, 6, is_live=False).to_html()
    assert "3 / 6" in html and "0 / 6" in html
    empty = coverage_frame(counts.iloc[:0], config)
    assert empty.to_numpy().sum() == 0 and empty.shape == (2, 2)


def test_what_will_happen_counts_what_is_chosen() -> None:
    assert plan(CONFIG) == "2 topics × 2 genres × 1 length = 4 cells of 2: 8 premises, in at most 24 attempts."


def test_every_outcome_has_its_meaning() -> None:
    assert set(MEANINGS) == set(PremiseOutcome)


def test_settings_survive_a_look_at_a_view_without_them(draw: Draw, written: Workspace) -> None:
    app = draw("generate", generation="Run")
    app.slider(key="generate_omega").set_value(0.3).run()
    for view in ("LLMs", "Premises"):
        app.segmented_control(key="tabs_generation").set_value(view).run()
        assert "generate_omega" not in [slider.key for slider in app.slider]
    app.number_input(key="scratch_per_cell").set_value(7).run()
    app.segmented_control(key="tabs_generation").set_value("Run").run()
    assert app.slider(key="generate_omega").value == 0.3
    app.segmented_control(key="tabs_generation").set_value("Premises").run()
    assert app.number_input(key="scratch_per_cell").value == 7
