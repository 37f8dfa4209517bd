"""A study as a job: its grid fills in, its report is written, and what is done is never done again."""

import json
from pathlib import Path

import pandas as pd
import pytest

from pipeline.records import InputError
from tests.workbench.processes import wait_for
from workbench.actions.training import keep_study_file, start_study
from workbench.workspace import Workspace

STUDY = """
study: tiny
title: A tiny study
seeds: 2
train: {encoder: static-minilm, steps: STEPS, batch_size: 8, mask_rule: none}
arms:
  - {name: plain, snapshot: few}
  - {name: hot, snapshot: few, train: {temperature: 0.5}}
"""


@pytest.fixture
def workspace(tmp_path: Path):
    with Workspace(tmp_path / "ws") as opened:
        rows = [(f"t{n}", f"Sentence number {n}.", f"The sentence {n}.", f"No {n} at all.") for n in range(40)]
        frame = pd.DataFrame(rows, columns=["triplet_id", "premise", "positive", "hard_negative"])
        opened.store.snapshots.create("few", ["x"], None, None, frame)
        yield opened


def cells(workspace: Workspace) -> dict[Path, int]:
    shared = workspace.root / "studies" / "shared"
    return {path: path.stat().st_mtime_ns for path in shared.rglob("cell.json")}


def grid(workspace: Workspace) -> dict:
    return json.loads((workspace.root / "studies" / "tiny" / "grid.json").read_bytes())


def test_a_study_is_stopped_in_a_cell_resumed_and_reported(workspace: Workspace) -> None:
    file = keep_study_file(workspace, STUDY.replace("STEPS", "60").encode())
    assert file.name == "tiny.yaml"
    job = start_study(workspace, file=str(file))["job_id"]
    with pytest.raises(InputError, match="already"):
        start_study(workspace, file=str(file))
    wait_for(lambda: workspace.jobs.get(job).done > 64, timeout_s=240)
    workspace.jobs.pause(job)
    wait_for(lambda: workspace.jobs.get(job).state == "paused", timeout_s=60)
    half = cells(workspace)
    assert 2 <= len(half) < 5  # the encoder before training, one cell or more, not all
    states = [cell["state"] for cell in grid(workspace)["cells"]]
    assert states.count("done") == len(half) - 1
    workspace.jobs.resume(job)
    assert workspace.wait(job, timeout_s=300).state == "finished", workspace.jobs.log(job)
    whole = cells(workspace)
    assert len(whole) == 5
    assert half.items() <= whole.items(), "finished cells were left alone"
    report = json.loads((workspace.root / "studies" / "tiny" / "report.json").read_bytes())
    scores = {(row["arm"], seed): score for row in report["rows"] for seed, score in _per_seed(row)}
    for cell in grid(workspace)["cells"]:
        assert cell["state"] == "done"
        assert cell["score"] == pytest.approx(scores[cell["arm"], cell["seed"]])


def _per_seed(row: dict) -> list[tuple[int, float]]:
    return list(enumerate(row["scores"]["average"]["per_seed"]))


def test_a_file_that_is_no_study_is_refused_and_not_kept(workspace: Workspace) -> None:
    for content in (b"study: x\narms: 3\n", b"\xff\xfe", b"a: b: c"):
        with pytest.raises(InputError):
            keep_study_file(workspace, content)
    assert list((workspace.root / "studies" / "files").glob("*")) == []
