"""Every view of the page Generate, empty and filled, and what they do with a click."""

import json
import os
from dataclasses import asdict, replace

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from pipeline.config import GenerationConfig
from pipeline.generation.lens import Candidate, LensRecord, LensStep
from pipeline.records import text_id
from tests.pages.conftest import Draw, texts
from tests.pages.filled import TRICKY, finished_job
from tests.pages.test_pages import assert_healthy
from workbench.components.generate.generation_runs import MEANINGS
from workbench.components.generate.lens_view import lens_figure, shown_candidates, token_name
from workbench.components.generate.preview import changed_words, marked
from workbench.components.generate.prompt_editor import token_words
from workbench.jobs.folder import JobFolder
from workbench.jobs.kinds import kind_of
from workbench.paths import PROJECT
from workbench.store.files import PromptSets
from workbench.workspace import Workspace

VIEWS = ["Premises", "Contrast", "Prompts", "Free prompt", "Run", "All runs", "LLMs"]
PREMISE = "A dog runs over the wet beach."
CONFIG = asdict(GenerationConfig(prompt_set="default@1"))
LENS_ID, GRID_ID, ASK_ID = (
    "20260101-000500-000-lens-ffff",
    "20260101-000600-000-grid-a",
    "20260101-000700-000-ask-b",
)


def candidate(token: int, text: str, own: float, opposite: float) -> Candidate:
    return Candidate(token, text, own, opposite)


RECORD = LensRecord(
    0.6,
    0.1,
    (
        # z at 0.6: The -0.46, Wet 0.9; the plain choice is pushed away, and Never is too unlikely to be chosen.
        LensStep(
            (candidate(1, " The", -1.0, -0.9), candidate(2, " Wet", -1.5, -4.0), candidate(3, " Never", -6.0, -20.0)),
            1,
            False,
        ),
        LensStep((candidate(4, "ing", -0.2, -0.3), candidate(5, " dog", -2.0, -0.4)), 0, False),
        LensStep((candidate(6, "\n", -0.1, -2.0), candidate(7, ":red[x]", -2.2, -2.0)), 0, True),
    ),
)


@pytest.fixture(autouse=True)
def quick_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens are counted by a stand-in: no test of this file loads a model."""
    paths = os.pathsep.join([str(PROJECT / "tests" / "workbench"), str(PROJECT)])
    monkeypatch.setenv("PYTHONPATH", paths)
    monkeypatch.setenv("MULTICSR_TEST_HANDLERS", "stand_in_handlers")


@pytest.fixture
def corpus(workspace: Workspace) -> str:
    premises = [PREMISE, TRICKY, "Third one."]
    frame = pd.DataFrame({"premise_id": [text_id(text) for text in premises], "text": premises})
    return workspace.store.premises.add_corpus("few", "few.txt", frame, {}, 0).corpus_id


@pytest.fixture
def previews(workspace: Workspace, filled: dict[str, str]) -> Workspace:
    """A finished lens, grid and answer, as their workers leave them."""
    lens = {"config": CONFIG, "premise": TRICKY, "side": "positive"}
    out = finished_job(workspace, LENS_ID, "lens", [], total=1, settings=lens).out
    (out / "lens.json").write_text(json.dumps(RECORD.to_json() | {"text": "Wetting", "outcome": "near_copy"}))
    grid = {"config": CONFIG, "premises": [PREMISE, TRICKY], "omegas": [0.0, 0.6]}
    sides = {"positive": side("A dog runs on the beach."), "hard_negative": side("", "refused", raw="I cannot")}
    other = sides | {"positive": side("A wet dog sleeps on the beach.")}
    cells = [{"omega": 0.0, "premise": PREMISE, **sides}, {"omega": 0.6, "premise": PREMISE, **other}]
    out = finished_job(workspace, GRID_ID, "grid", [], total=4, settings=grid).out
    (out / "grid.json").write_text(json.dumps(cells))
    asked = {"llm": {"name": "smollm2-135m"}, "config": CONFIG, "prompt": "Say <b>it</b>:"}
    answer = {"text": "It :red[is]\nsaid.", "prompt_tokens": 7, "tokens": 5, "seconds": 0.5, "ended": True}
    out = finished_job(workspace, ASK_ID, "ask", [], total=5, settings=asked).out
    (out / "answer.json").write_text(json.dumps(answer))
    return workspace


def side(text: str, outcome: str = "ok", raw: str = "") -> dict:
    return {"text": text, "raw": raw or text, "outcome": outcome, "tokens": 5}


@pytest.mark.parametrize("view", VIEWS)
def test_views_of_a_corpus_without_any_run(draw: Draw, corpus: str, view: str) -> None:
    app = draw("generate", generation=view)
    assert_healthy(app)
    assert app.segmented_control(key="tabs_generation").value == view


@pytest.mark.parametrize("view", VIEWS)
def test_views_of_a_filled_workspace(draw: Draw, previews: Workspace, view: str) -> None:
    app = draw("generate", generation=view, lens=LENS_ID, grid=GRID_ID, asked=ASK_ID)
    assert_healthy(app)
    shown = texts(app)
    assert TRICKY not in shown, "raw text would be parsed as Markdown"
    counts = {"Contrast": 1, "Run": 1}
    assert len(app.get("plotly_chart")) == counts.get(view, 0)


def test_a_page_with_premises_begins_with_the_start_of_a_run_and_no_other_view_offers_it(
    draw: Draw, corpus: str
) -> None:
    app = draw("generate")
    assert app.segmented_control(key="tabs_generation").value == "Run"
    assert "Generate 3 triplets" in [button.label for button in app.button]
    for view in ("Contrast", "Prompts", "Free prompt"):
        assert "Generate 3 triplets" not in [button.label for button in draw("generate", generation=view).button]


def test_the_lens_says_what_was_pushed_away_and_where_a_replay_leaves(draw: Draw, previews: Workspace) -> None:
    app = draw("generate", generation="Contrast", lens=LENS_ID)
    assert "Plain decoding takes **The**" in texts(app)
    assert "pushed away: The" in texts(app)
    assert not app.warning
    app.slider(key=f"lens_omega_{LENS_ID}").set_value(0.0).run()
    assert_healthy(app)
    assert "leaves the record at token 1: **The** instead of **Wet**" in app.warning[0].value
    assert "agree on **The**" in texts(app)


def test_a_link_opens_the_lens_at_its_token_and_omega(draw: Draw, previews: Workspace) -> None:
    app = draw("generate", generation="Contrast", lens=LENS_ID, step="1", omega="0.3")
    assert app.slider(key=f"lens_omega_{LENS_ID}").value == 0.3
    assert r"agree on **\#\#ing**" in texts(app)
    for wrong in ({"step": "99"}, {"step": "x", "omega": "much"}, {"lens": "gone"}, {"lens": GRID_ID}):
        assert_healthy(draw("generate", **{"generation": "Contrast", "lens": LENS_ID} | wrong))


def test_the_chart_holds_the_recorded_values_and_marks_both_choices() -> None:
    step = RECORD.steps[0]
    figure = lens_figure(step, omega=0.6, plausibility=0.1, colour="#009E73")
    own, opposite, z = figure.data
    for bars, values in (
        (own, [-1.0, -1.5, -6.0]),
        (opposite, [-0.9, -4.0, -20.0]),
        (z, [-0.46, 0.9, 6.0]),
    ):
        assert [row[0] for row in bars.customdata] == pytest.approx(values)
        assert list(bars.y) == [0, 1, 2]
    assert bars_end(own)[:2] == pytest.approx([-1.0, -1.5]), "a bar ends at its value"
    said_there = {note.text for note in figure.layout.annotations}
    assert {"<b>plain choice</b>", "<b>refined choice</b>", "<b>pushed away</b>"} <= said_there
    assert z.marker.color[1] == "#009E73" and z.marker.opacity[2] < 0.5, "what was cut is faint"
    agreed = lens_figure(RECORD.steps[1], omega=0.6, plausibility=0.1, colour="#009E73")
    assert "<b>plain and refined choice</b>" in {note.text for note in agreed.layout.annotations}


def bars_end(bars) -> list[float]:
    return [bars.base + length for length in bars.x]


def test_ten_candidates_are_shown_and_the_winner_is_among_them() -> None:
    many = tuple(candidate(n, f" w{n}", -1.0 - 0.1 * n, -1.0 if n < 14 else -9.0) for n in range(15))
    step = LensStep(many, 3, False)
    shown = shown_candidates(step, 0.9, 0.1)
    assert len(shown) == 10
    assert {many[0], many[3], many[14]} <= set(shown) and step.choice(0.9, 0.1) is many[14]
    assert [one.own for one in shown] == sorted((one.own for one in shown), reverse=True)


def test_tokens_have_names() -> None:
    names = [token_name(candidate(0, text, 0, 0)) for text in (" dog", "ing", ".", "\n", "", " ")]
    assert names == ["dog", "##ing", ".", "end of reply", "end of reply", "blank"]


def test_the_grid_marks_the_words_that_plain_generation_lacks(draw: Draw, previews: Workspace) -> None:
    app = draw("generate", generation="Contrast", contrast="Preview", grid=GRID_ID)
    assert r"A :green-background[wet] dog :green-background[sleeps] on the beach\." in texts(app)
    assert texts(app).count("not written") == 2
    app.segmented_control(key="preview_side").set_value("hard_negative").run()
    assert_healthy(app)
    assert "I cannot" in texts(app)


@pytest.mark.parametrize(("view", "job_id"), [("Preview", GRID_ID), ("Lens", LENS_ID), ("Free prompt", ASK_ID)])
def test_a_short_job_names_its_engine_where_it_noted_one(
    draw: Draw, previews: Workspace, view: str, job_id: str
) -> None:
    where = {"generation": view} if view == "Free prompt" else {"generation": "Contrast", "contrast": view}
    asked = where | {"lens": LENS_ID, "grid": GRID_ID, "asked": ASK_ID}
    assert "Engine" not in texts(draw("generate", **asked))
    folder = JobFolder(previews.root / "jobs" / job_id)
    folder.write_status(replace(folder.status(), details={"engine": "llama.cpp"}))
    app = draw("generate", **asked)
    assert_healthy(app)
    assert r"Engine\: llama\.cpp\." in texts(app)


def test_changed_words_by_hand() -> None:
    assert changed_words("The Dog runs, fast.", "the dog walks fast") == [
        ("The", False),
        ("Dog", False),
        ("runs,", True),
        ("fast.", False),
    ]
    assert marked("a b c", "c", colour="green") == ":green-background[a b] c"
    assert marked("", "c", colour="green") == ""


def test_an_edit_is_seen_in_the_exact_text_and_saved_as_another_version(draw: Draw, corpus: str, workspace) -> None:
    app = draw("generate", generation="Prompts")
    assert app.button(key="prompt_save").disabled
    instruction = next(area for area in app.text_area if area.key == "prompt_instruction_default@1_positive")
    instruction.set_value("Say it backwards.").run()
    assert_healthy(app)
    assert app.code[0].value.startswith("Say it backwards.\nSentence: Two kids")
    assert app.code[0].value.endswith(f"Sentence: {PREMISE}\nSame meaning:")
    assert app.code[1].value.startswith("Change important details")
    app.button(key="prompt_save").click().run()
    assert_healthy(app)
    [saved] = PromptSets(workspace.root).own()
    assert (saved.ref, saved.positive.instruction) == ("default edited@1", "Say it backwards.")
    assert app.selectbox(key="pick_prompts").value == "default edited@1"
    assert app.text_input(key="prompt_name_default edited@1").value == "default edited"


def test_the_opposite_is_chosen_per_side(draw: Draw, corpus: str, workspace: Workspace) -> None:
    app = draw("generate", generation="Prompts")
    app.selectbox(key="prompt_against_default@1_positive").select("Repeating the sentence").run()
    assert app.code[1].value.startswith("Repeat the sentence word for word.")
    app.selectbox(key="prompt_against_default@1_positive").select("A prompt of its own").run()
    assert_healthy(app)
    own = next(area for area in app.text_area if area.key == "prompt_instruction_default@1_against_positive")
    own.set_value("Sing it.").run()
    app.button(key="prompt_save").click().run()
    [saved] = PromptSets(workspace.root).own()
    assert saved.against_positive is not None and saved.against_positive.instruction == "Sing it."
    assert saved.against_hard_negative is None


def test_what_cannot_be_saved_is_told_in_a_sentence(draw: Draw, corpus: str, workspace: Workspace) -> None:
    app = draw("generate", generation="Prompts")
    app.text_input(key="prompt_name_default@1").set_value("../Up").run()
    assert "cannot be called" in app.error[0].value
    app.text_input(key="prompt_name_default@1").set_value("default").run()
    app.text_input(key="prompt_about_default@1").set_value("other").run()
    app.button(key="prompt_save").click().run()
    assert "another name" in app.error[0].value
    assert PromptSets(workspace.root).own() == []


def test_token_counts_in_words() -> None:
    assert token_words(None, 0, reply=9) == ":gray[counting tokens …]"
    found = {"prompts": [{"counts": [10, 5]}, {"counts": [20, 71]}], "window": 100}
    assert token_words(found, 0, reply=9) == "**15 tokens**, 10 of them shared by all premises"
    assert "do not fit the context window of 100" in token_words(found, 1, reply=10)
    assert "do not fit" not in token_words(found, 1, reply=9)
    assert "do not fit" not in token_words(found | {"window": None}, 1, reply=99)


def test_outcomes_lead_to_their_rows_and_to_a_retry(
    draw: Draw, filled: dict[str, str], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    app: AppTest = draw("generate", generation="Run", outcome="refused")
    assert_healthy(app)
    rows = app.dataframe[-1].value
    assert rows["Side"].tolist() == ["Hard negative"]
    submitted: list = []
    monkeypatch.setattr(workspace.jobs, "submit", lambda *given, **named: submitted.append((given, named)) or "x")
    app.slider(key="generate_omega").set_value(0.3).run()
    app.button(key="retry_refused").click().run()
    assert_healthy(app)
    [((spec, frame), named)] = submitted
    assert (kind_of(spec).name, spec.config.omega, spec.retries, spec.outcome) == (
        "generate",
        0.3,
        filled["attempt"],
        "refused",
    )
    assert frame["text"].tolist() == ["Premise number 10 waits by the river."]
    assert named["title"].startswith("Retry of 1 refused")


def test_every_outcome_has_its_meaning_in_words() -> None:
    from pipeline.records import Outcome

    assert set(MEANINGS) == set(Outcome)


def test_near_copies_by_cosine_are_listed_once_a_guide_has_judged(draw: Draw, filled: dict[str, str]) -> None:
    """The filled workspace's scores serve as cosines: those of at least 0.98 on an ok side are listed."""
    app = draw("generate", generation="Run", outcome="ok")
    assert_healthy(app)
    listed = app.dataframe[-1].value
    # a = 0.5 n from n = 2 on and b = 5 - 0.5 n up to n = 8 lie above; 10 has no hard negative, 11 no positive.
    assert sorted(listed["Side"].value_counts().items()) == [("Hard negative", 9), ("Positive", 9)]
    assert listed["Cosine"].is_monotonic_decreasing and listed["Cosine"].min() >= 0.98


def test_short_jobs_are_not_among_the_past_jobs_of_home(draw: Draw, previews: Workspace) -> None:
    home = draw("home")
    kinds = set(home.dataframe[-1].value["Job"])
    assert "Generation" in kinds and not kinds & {"Contrast lens", "Grid preview", "Free prompt", "Token count"}
