"""Studies and the mask preview on the Train page, from planted files: figures against what was planted."""

import json
import math

import numpy as np
import pytest

from pipeline.analysis.masks import BINS, KINDS, bin_of
from tests.pages.conftest import Draw, texts
from tests.pages.filled import finished_job
from workbench.actions.training import preview_key
from workbench.components.evaluate.leaderboard_view import arms_of_studies
from workbench.components.train.study_view import effect_figure, grid_figure, known_studies, score_table
from workbench.jobs.folder import JobFolder
from workbench.study_runs import SHIPPED
from workbench.workspace import Workspace

CELLS = [
    {"arm": "plain", "seed": 0, "state": "done", "score": 61.5, "train_s": 1.0, "triplets": 9},
    {"arm": "<b>hot", "seed": 0, "state": "running"},
    {"arm": "plain", "seed": 4, "state": "waiting"},
    {"arm": "<b>hot", "seed": 4, "state": "waiting"},
]
GRID = {"study": "mine", "title": "Mine", "arms": ["plain", "<b>hot"], "seeds": [0, 4], "cells": CELLS}
STUDY = "study: mine\nseeds: [0, 4]\ntrain: {steps: 5}\narms:\n  - {name: plain, snapshot: first}\n"


def difference(value: float, half: float) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


REPORT = {
    "study": "mine", "title": "Mine", "baseline": "plain", "metric": "Spearman x100", "encoder": "static-minilm",
    "seeds": [0, 4], "items": {"STS12": 10, "STSB-test": 5}, "contrasts": [],
    "rows": [
        {"arm": name, "triplets": 9, "train_s": 1.25,
         "scores": {task: {"mean": mean, "sd": 0.5, "per_seed": []} for task in ("STS12", "STSB-test", "average")}}
        for name, mean in (("plain", 60.0), ("<b>hot", 62.0))
    ],
    "against_baseline": [
        {"name": "<b>hot", "plus": ["<b>hot"], "minus": ["plain"],
         "tasks": {"STS12": difference(2, 3), "STSB-test": difference(2, 1), "average": difference(2, 1)}}
    ],
}  # fmt: skip


def test_a_grid_shows_each_cell_in_its_place() -> None:
    figure = grid_figure(GRID, ink="#000000")
    waiting, scores = (np.array(trace.z, dtype=float) for trace in figure.data)
    assert scores[0, 0] == 61.5
    assert np.isnan(scores[[0, 1, 1], [1, 0, 1]]).all()
    assert math.isnan(waiting[0, 0])
    assert (waiting[1, 0], waiting[0, 1], waiting[1, 1]) == (1, 0, 0)
    assert [note.text for note in figure.layout.annotations] == ["61.50", "", "running", ""]
    assert "<b>" not in str(figure.layout.yaxis.ticktext), "an arm's name is text, not markup"


def test_effects_are_coloured_by_whether_they_are_settled() -> None:
    settled, open_ = (
        effect_figure(REPORT["against_baseline"], task, "plain").data[0] for task in ("average", "STS12")
    )
    assert settled.x == (2,) and settled.error_x.array == (1,)
    assert settled.marker.color != open_.marker.color
    table = score_table(REPORT).set_index("Arm")
    assert table.loc["<b>hot", "Difference"] == "+2.00 (+1.00 to +3.00)"
    assert table.loc["<b>hot", "Verdict"] == "better"
    assert table.loc["plain", "STS12"] == "60.00 ± 0.50"


def test_a_study_of_the_workspace_is_found_and_drawn(
    draw: Draw, workspace: Workspace, filled: dict[str, str]
) -> None:
    folder = workspace.root / "studies" / "mine"
    folder.mkdir(parents=True)
    file = workspace.root / "mine.yaml"
    file.write_text(STUDY)
    (folder / "grid.json").write_text(json.dumps(GRID | {"file": str(file)}))
    (folder / "report.json").write_text(json.dumps(REPORT))
    (folder / "report.html").write_text("<!doctype html>")
    assert known_studies(workspace) == {"mine": file} | {path.stem: path for path in SHIPPED.glob("*.yaml")}
    app = draw("train", training="Studies", study="mine")
    assert [error.message for error in app.exception] == []
    assert "1 arm x 2 seeds = 2 runs" in texts(app)
    assert "1 of 4 cells done (25%)" in texts(app)
    assert len(app.get("plotly_chart")) == 2
    assert len(app.get("download_button")) == 1


def test_every_shipped_study_can_be_read_on_the_page(draw: Draw, workspace: Workspace) -> None:
    for path in SHIPPED.glob("*.yaml"):
        app = draw("train", training="Studies", study=path.stem)
        assert [error.message for error in app.exception] == []
        assert [error.value for error in app.error] == []
        assert "Not run yet" in texts(app)


@pytest.mark.parametrize("phi", [0.5, 0.8])
def test_the_preview_says_what_phi_masks(
    draw: Draw, workspace: Workspace, filled: dict[str, str], phi: float
) -> None:
    counts = {kind: [0] * BINS for kind in KINDS}
    for kind, above in zip(
        KINDS, (10, 4, 50), strict=True
    ):  # of a hundred: so many at 0.9, as many at 0.6, the rest at 0
        counts[kind][bin_of(0.9)], counts[kind][bin_of(0.6)] = above, above
        counts[kind][bin_of(0.0)] = 100 - 2 * above
    pairs = [0] * BINS
    pairs[bin_of(0.1)], pairs[bin_of(0.95)] = 999, 1
    example = {"kind": KINDS[0], "cosine": 0.9, "premise": "A <b>x</b>.", "candidate": "y", "own_positive": "z"}
    record = {"counts": counts, "random_pairs": pairs, "premises": 8, "triplets": 8, "examples": [example]}
    job = "20260105-000000-000-preview-aaaa"
    key = preview_key(filled["snapshot"], "all-MiniLM-L6-v2", False)
    folder: JobFolder = finished_job(workspace, job, "preview", [], total=3, settings={"key": key})
    (folder.out / "preview.json").write_text(json.dumps(record))
    app = draw("train")
    app.slider[0].set_value(phi).run()
    assert [error.message for error in app.exception] == []
    shown = {metric.label: metric.value for metric in app.metric}
    times = 2 if phi < 0.6 else 1
    assert shown["Positives"] == f"{10 * times / 100:.3%}"
    assert shown["Hard negatives"] == f"{4 * times / 100:.3%}"
    assert shown["Own"] == f"{50 * times / 100:.3%}"
    masked = times * (0.10 * 7 + 0.04 * 7 + 0.50)  # 8 triplets are one batch: 7 others, and the own hard negative
    assert f"loses {masked:.2f} of its 15 negatives" in texts(app)


def test_the_leaderboard_shows_the_arms_of_a_study_even_without_other_scores(
    workspace: Workspace, draw: Draw, caplog: pytest.LogCaptureFixture
) -> None:
    assert arms_of_studies(workspace) == []
    folders = [workspace.root / "studies" / name for name in ("mine", "odd", "held-out")]
    reports = [REPORT | {"tied": ["<b>hot"]}, {"title": "of another version"}, REPORT | {"metric": "accuracy x 100"}]
    for folder, report in zip(folders, reports, strict=True):
        folder.mkdir(parents=True)
        (folder / "report.json").write_text(json.dumps(report))
    found = arms_of_studies(workspace)
    assert [(row.name, row.average, row.is_tied) for row in found] == [("<b>hot", 62.0, True), ("plain", 60.0, False)]
    assert {row.origin for row in found} == {"study mine, 2 seeds"}
    assert caplog.text.count("stays out of the leaderboard") == 1, "the report of another version is told in the log"
    [shown] = draw("evaluate", evaluation="Leaderboard").dataframe
    assert list(shown.value["Source"][:2]) == ["study mine, 2 seeds"] * 2
