"""`study` on the command line: real training on a few triplets, no LLM."""

import json
from pathlib import Path

import pytest

from pipeline.exchange import write_triplets
from pipeline.records import Triplet
from workbench.cli.main import main
from workbench.journal import FileLock

STUDY = """
study: tiny
title: A tiny study
seeds: 2
train: {steps: 2, batch_size: 8, mask_rule: none}
arms:
  - {name: plain, triplets: t.jsonl}
  - {name: <b>hot, triplets: t.jsonl, train: {temperature: 0.5}}
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    rows = [Triplet(f"Sentence number {n}.", f"The sentence {n}.", f"No {n} at all.") for n in range(30)]
    write_triplets(tmp_path / "t.jsonl", rows)
    (tmp_path / "tiny.yaml").write_text(STUDY)
    return tmp_path / "tiny.yaml"


def test_a_study_runs_reports_and_the_second_time_only_reports(study: Path, own_workspace: Path, capsys):
    answer = study.parent / "answer.json"
    assert main(["study", str(study), "--json", str(answer)]) == 0
    printed = capsys.readouterr().out
    assert "plain" in printed and "<b>hot" in printed and "Against plain" in printed
    folder = own_workspace / "studies" / "tiny"
    assert "# A tiny study" in (folder / "report.md").read_text()
    first = json.loads(answer.read_text())
    assert first == json.loads((folder / "report.json").read_text())
    assert [row["arm"] for row in first["rows"]] == ["untrained", "plain", "<b>hot"]

    kept = {path: path.stat().st_mtime_ns for path in (own_workspace / "studies" / "shared").rglob("cell.json")}
    assert len(kept) == 5
    assert main(["study", str(study), "--json", str(answer)]) == 0
    assert json.loads(answer.read_text()) == first
    assert all(path.stat().st_mtime_ns == changed for path, changed in kept.items())


def test_a_study_that_cannot_be_used_is_refused_in_one_sentence(study: Path, capsys):
    study.write_text(STUDY.replace("steps", "step"))
    assert main(["study", str(study)]) == 2
    assert "tiny.yaml, arm 'plain', train: has no setting step" in " ".join(capsys.readouterr().err.split())
    assert main(["study", "absent"]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "There is no study file absent" in told and "stages" in told


def test_a_dry_run_prints_the_plan_tries_every_part_and_leaves_nothing_behind(
    own_workspace: Path, capsys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "160")  # no cell of a table is broken into lines
    assert main(["study", "paper", "--dry-run"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "9 arms x 3 seeds = 27 training runs of 6,459 steps; up to 255 negatives per premise" in printed
    assert "4 premises written" in printed and "2 steps of 8" in printed
    assert not own_workspace.exists()


def test_two_studies_do_not_share_a_folder_at_the_same_time(study: Path, own_workspace: Path, capsys):
    (own_workspace / "studies").mkdir(parents=True)
    lock = FileLock(own_workspace / "studies" / "study.lock")
    assert lock.acquire()
    assert main(["study", str(study)]) == 2
    assert "Another study runs" in capsys.readouterr().err
    lock.release()
