"""The logbook: a cell per run and study, notes on them, and both exports."""

import json

from tests.pages.conftest import Draw, texts
from tests.pages.filled import TRICKY, finished_job
from tests.pages.test_pages import assert_healthy
from workbench.actions.analysis import add_note
from workbench.components.train.logbook import as_markdown, as_page, cells, with_scores
from workbench.workspace import Workspace

SECOND = "20260102-000000-000-train-dddd"


def second_run(workspace: Workspace, filled: dict[str, str]) -> None:
    rows = [{"table": "train_steps", "run_id": SECOND, "step": 1, "steps": 1, "loss": 1.0, "dev_score": 0.4}]
    config = {"encoder": "static-minilm", "steps": 20, "batch_size": 4, "seed": 7}
    settings = {"config": config, "snapshot_id": filled["snapshot"]}
    finished_job(workspace, SECOND, "train", rows, total=1, settings=settings, title=f"second {TRICKY}")
    workspace.wait(SECOND, timeout_s=20)


def study(workspace: Workspace) -> None:
    effect = {"name": "curated", "tasks": {"STSB-test": {"value": 0.5, "low": 0.1, "high": 0.9, "p": 0.01}}}
    report = {"title": "What curation is worth", "study": "few", "items": {"STSB-test": 30}, "baseline": "plain"}
    report |= {"contrasts": [], "against_baseline": [effect], "rows": [{}, {}], "seeds": [0, 1]}
    folder = workspace.root / "studies" / "few"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(report))


def test_each_run_says_what_differs_from_the_one_before_and_what_came_of_it(
    workspace: Workspace, filled: dict[str, str]
) -> None:
    second_run(workspace, filled)
    study(workspace)
    odd = workspace.root / "studies" / "odd"
    odd.mkdir()
    (odd / "report.json").write_text('{"title": "of another version"}')
    newest, second, first = cells(workspace)
    assert newest.figures == ("curated: +0.50 (+0.10 to +0.90), better",)
    assert second.changed == ("seed 7",)
    assert "batch_size 4" in first.changed and "snapshot first" in first.changed
    [dev] = with_scores(workspace, second).figures
    assert dev == "Best dev score x 100: 40.00"
    scores = with_scores(workspace, first).figures
    assert any(line.startswith("Spearman x 100, mean of 2 tasks: ") and " to " in line for line in scores)
    assert any(line.startswith("Gain over static-minilm: ") for line in scores)


def test_a_note_stands_in_its_cell_and_in_both_exports_as_text(
    draw: Draw, workspace: Workspace, filled: dict[str, str]
) -> None:
    second_run(workspace, filled)
    add_note(workspace, text="<b>Seed</b> *seven*", about=cells(workspace)[0].about)
    app = draw("train", training="Logbook")
    assert_healthy(app)
    assert TRICKY not in texts(app), "raw text would be parsed as Markdown"
    assert r"\<b\>Seed\<\/b\> \*seven\*" in texts(app)
    found = [with_scores(workspace, cell) for cell in cells(workspace)]
    page, markdown = as_page("Log", found), as_markdown("Log", found)
    assert "&lt;b&gt;Seed&lt;/b&gt;" in page and "<img src=x" not in page
    assert r"\<b\>Seed" in markdown and markdown.count("\n## ") == 2


def test_an_empty_logbook_leads_to_the_first_run(draw: Draw, workspace: Workspace) -> None:
    app = draw("train", training="Logbook")
    assert_healthy(app)
    app.button(key="logbook_first").click().run()
    assert app.segmented_control(key="tabs_training").value == "New run"
