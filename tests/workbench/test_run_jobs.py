"""A real run as a job: what it leaves for its page; and the mask preview, whose vectors the run then finds."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from store_samples import add, triplet_row

from pipeline.analysis.masks import KINDS
from pipeline.records import InputError
from workbench.actions.curation import curate
from workbench.actions.evaluation import start_evaluate
from workbench.actions.models import delete_weights, encoders
from workbench.actions.training import start_preview, start_train
from workbench.store.decisions import Decision
from workbench.workspace import Workspace

SUBJECTS = ("dog", "boat", "teacher", "train", "river", "child", "cook", "bird")
ACTIONS = (
    ("crosses the bridge", "goes over the bridge", "waits before the bridge"),
    ("is old", "is not young", "is new"),
)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory):
    with Workspace(tmp_path_factory.mktemp("runs") / "ws") as opened:
        yield opened


@pytest.fixture(scope="module")
def snapshot(workspace: Workspace) -> str:
    rows = [
        (f"t{i}{j}{k}", f"The {s} {k} {p}.", f"The {s} {k} {q}.", f"The {s} {k} {n}.")
        for i, s in enumerate(SUBJECTS)
        for j, (p, q, n) in enumerate(ACTIONS)
        for k in ("today", "often", "never")
    ]
    frame = pd.DataFrame(rows, columns=["triplet_id", "premise", "positive", "hard_negative"])
    return workspace.store.snapshots.create("small", ["x"], None, None, frame).snapshot_id


def kept_texts(store: Path) -> int:
    with closing(sqlite3.connect(store)) as opened:
        return opened.execute("SELECT count(*) FROM vectors").fetchone()[0]


def test_a_preview_then_a_run(workspace: Workspace, snapshot: str) -> None:
    asked = {"snapshot_id": snapshot, "guide": "all-MiniLM-L6-v2", "held_out": snapshot}
    job = start_preview(workspace, **asked)["job_id"]
    assert start_preview(workspace, **asked)["job_id"] == job, "the same preview is not made twice"
    assert workspace.wait(job, timeout_s=120).state == "finished", workspace.jobs.log(job)
    found = json.loads((workspace.root / "jobs" / job / "out" / "preview.json").read_bytes())
    rows = found["triplets"]
    assert [sum(found["counts"][kind]) for kind in KINDS] == [rows * (rows - 1), rows * (rows - 1), rows]
    assert all(item["candidate"] != item["own_positive"] for item in found["examples"] if item["kind"] == KINDS[0])
    [guide_store] = (workspace.root / "vectors").glob("*.sqlite")
    embedded = kept_texts(guide_store)
    assert embedded > rows

    config = {
        "encoder": "static-minilm",
        "steps": 4,
        "batch_size": 8,
        "eval_every": 2,
        "mask_threshold": 0.7,
        "keep_every": 2,
    }
    started = start_train(workspace, snapshot_id=snapshot, config=config, held_out=snapshot)
    run = started["run_id"]
    assert started["triplets"] == rows
    assert workspace.wait(run, timeout_s=120).state == "finished", workspace.jobs.log(run)
    assert kept_texts(guide_store) == embedded, "the run took the preview's vectors"

    encoders = {item.encoder_id: item for item in workspace.store.encoders.list()}
    assert set(encoders) == {run, f"{run}-step-2"}
    assert encoders[f"{run}-step-2"].name == f"{encoders[run].name}, step 2"

    out = workspace.root / "jobs" / run / "out"
    batch = json.loads((out / "first_batch.json").read_bytes())
    assert len(batch["rows"]) == batch["batch_size"] == 8
    assert (workspace.jobs.get(run).done, workspace.jobs.get(run).total) == (4, 4), "progress stays in steps"
    curve = workspace.store.runs.curve(run)
    # The table of the first batch and the loss of step 1 must agree on what was masked.
    share = sum(row["masked"] for row in batch["rows"]) / (2 * 8 * 8 - 8)
    assert curve["masked_share"].iloc[0] == pytest.approx(share)
    assert share > 0
    assert curve["memory_mb"].min() > 50
    dev = json.loads((out / "dev_rows.json").read_bytes())
    assert dev["name"] == "held-out triplets"
    scores = curve["dev_score"].dropna()
    assert len(scores) == 2
    assert dev["score"] == pytest.approx(scores.iloc[-1])
    errors = [row["error"] for row in dev["rows"]]
    assert errors == sorted(errors)
    assert [row["cos_positive"] - row["cos_hard_negative"] for row in dev["rows"]] == pytest.approx(errors)
    cost = json.loads((out / "cost.json").read_bytes())
    assert cost["guide_s"] == 0 and "embedded_texts" not in cost, "the vectors were on disk"


def test_a_run_deletes_its_weights_and_keeps_its_figures(workspace: Workspace, snapshot: str) -> None:
    config = {"encoder": "static-minilm", "steps": 2, "batch_size": 8, "mask_rule": "none", "keep_every": 1}
    run = start_train(workspace, snapshot_id=snapshot, config=config, held_out=snapshot, title="small one")["job_id"]
    assert workspace.wait(run, timeout_s=120).state == "finished", workspace.jobs.log(run)
    before = workspace.store.scores.held_out(), workspace.store.runs.curve(run)
    scoring = start_evaluate(workspace, encoder=run, held_out=snapshot)["job_id"]
    assert workspace.wait(scoring, timeout_s=120).state == "finished"
    with pytest.raises(InputError, match="no training run"):
        delete_weights(workspace, run_id=scoring)

    freed = delete_weights(workspace, run_id=run)["freed_bytes"]

    out = workspace.jobs.output(run, "")
    assert freed > 2 * 40e6, "the encoder and its copy after a step"
    assert sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) < 5e6
    assert (out / "model" / "README.md").is_file()
    for old, new in zip(before, (workspace.store.scores.held_out(), workspace.store.runs.curve(run)), strict=True):
        pd.testing.assert_frame_equal(old, new)
    origins = {row["encoder_id"]: row["origin"] for row in encoders(workspace)["encoders"]}
    assert origins[run] == "trained here, weights deleted"
    for name in (run, "small one"):
        with pytest.raises(InputError, match="weights of small one were deleted"):
            start_evaluate(workspace, encoder=name, held_out=snapshot)
    assert delete_weights(workspace, run_id=run)["freed_bytes"] == 0


def test_a_run_that_embeds_its_texts_keeps_how_long_the_guide_took(workspace: Workspace, snapshot: str) -> None:
    config = {"steps": 2, "batch_size": 8, "mask_threshold": 0.7, "guide": "static-minilm"}
    run = start_train(workspace, snapshot_id=snapshot, config=config)["run_id"]
    assert workspace.wait(run, timeout_s=120).state == "finished", workspace.jobs.log(run)
    cost = json.loads((workspace.root / "jobs" / run / "out" / "cost.json").read_bytes())
    texts = workspace.store.snapshots.rows(snapshot)[["premise", "positive", "hard_negative"]]
    assert cost["embedded_texts"] == len(set(texts.to_numpy().ravel()))
    assert 0 < cost["guide_s"] < cost["prepare_s"]


def test_a_snapshot_brings_its_judges_scores_of_texts_that_nobody_changed(tmp_path: Path) -> None:
    with Workspace(tmp_path / "ws") as workspace:
        add(workspace.store, "triplets", [triplet_row(f"t{n}") for n in range(6)])
        scores = [
            {"triplet_id": f"t{n}", "judge_id": "j", "a": 4.0, "b": n / 2, "source": "jobs/1", "calibration": "v1"}
            for n in range(5)
        ]
        add(workspace.store, "judgements", scores)
        for decision in (Decision("t0", "swap"), Decision("t1", "edit", "New."), Decision("t1", "accept")):
            workspace.store.decisions.append([replace(decision, annotator="ann")])
        rule = {"alpha": 0.0, "beta": 5.0, "gamma": -5.0}
        made = curate(workspace, attempt_ids=["attempt"], judge_id="j", rule=rule, name="judged")["snapshot_id"]
        config = {"encoder": "static-minilm", "steps": 2, "batch_size": 4, "mask_rule": "none", "cosent_weight": 1.0}
        run = start_train(workspace, snapshot_id=made, config=config)["run_id"]
        frame = pd.read_parquet(workspace.root / "jobs" / run / "input.parquet").set_index("triplet_id")
        assert frame["b"].dropna().to_dict() == {"t2": 1.0, "t3": 1.5, "t4": 2.0}
        assert {"t0", "t1"} < set(frame.index), "texts that people changed are there, without scores"
        assert workspace.wait(run, timeout_s=120).state == "finished", workspace.jobs.log(run)
        assert workspace.store.runs.curve(run)["loss"].iloc[0] > 0
        everything = workspace.store.snapshots.rows(made)
        bare = workspace.store.snapshots.create("bare", ["attempt"], None, None, everything).snapshot_id
        with pytest.raises(InputError, match="made without a judge"):
            start_train(workspace, snapshot_id=bare, config=config)
