"""A training job in two processes (gloo, CPU) against one process, and killed and resumed."""

import os
import signal
from pathlib import Path

import pandas as pd
import pytest

from pipeline.records import InputError
from tests.conftest import DRILL
from tests.workbench.processes import wait_for
from workbench.actions.training import start_train
from workbench.journal import read_rows
from workbench.workspace import Workspace

CONFIG = {
    "encoder": "static-minilm",
    "guide": "static-minilm",
    "mask_threshold": 0.7,
    "batch_size": 8,
    "learning_rate": 0.002,
    "eval_every": 2,
}
PARTS = (("sails home", "goes home by sail", "stays away"), ("is old", "is not young", "is new"))


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    with Workspace(tmp_path_factory.mktemp("torchrun") / "ws") as opened:
        yield opened


@pytest.fixture(scope="module")
def snapshot(own: Workspace) -> str:
    rows = [
        (f"t{i}{j}", f"The {i}. boat {p}.", f"The {i}. boat {q}.", f"The {i}. boat {n}.")
        for i in range(24)
        for j, (p, q, n) in enumerate(PARTS)
    ]
    frame = pd.DataFrame(rows, columns=["triplet_id", "premise", "positive", "hard_negative"])
    return own.store.snapshots.create("boats", ["x"], None, None, frame).snapshot_id


def curve(workspace: Workspace, run: str) -> list[list[float | None]]:
    rows = read_rows(workspace.root / "jobs" / run / "journal.jsonl")
    names = ("step", "loss", "info_nce", "masked_share", "dev_score")
    return [[row[name] for name in names] for row in rows if row["table"] == "train_steps"]


def first_process(root: Path, run: str) -> int | None:
    """The process that torchrun started as rank 0: it holds lock and journal."""
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                words, variables = ((process / name).read_bytes().split(b"\0") for name in ("cmdline", "environ"))
            except OSError:
                continue
            if str(root / "jobs" / run).encode() in words and b"RANK=0" in variables:
                return int(process.name)
    return None


@pytest.mark.drill
def test_two_processes_train_as_one_and_go_on_after_a_kill(own: Workspace, snapshot: str):
    """The short version has no kill."""
    config = CONFIG | {"steps": 60 if DRILL else 6}
    asked = {"snapshot_id": snapshot, "config": config, "held_out": snapshot}
    alone = start_train(own, **asked)["run_id"]
    together = start_train(own, **asked, on="torchrun:2")["run_id"]
    if DRILL:
        wait_for(lambda: len(curve(own, together)) >= 3)
        os.kill(first_process(own.root, together), signal.SIGKILL)
        assert own.wait(together, timeout_s=120).state == "interrupted"
        own.jobs.resume(together)
    for run in (alone, together):
        assert own.wait(run, timeout_s=600).state == "finished", own.jobs.log(run)
    expected, found = curve(own, alone), curve(own, together)
    assert len(found) == len(expected) == config["steps"]
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    assert [encoder.encoder_id for encoder in own.store.encoders.list()].count(together) == 1


def test_what_processes_cannot_share_is_said_before_the_job_starts(own: Workspace, snapshot: str):
    for changes, on, sentence in (
        ({"batch_size": 9}, "torchrun:2", "cannot be shared evenly by 2 processes"),
        ({"device": "cuda:1"}, "torchrun:2", "set device auto"),
        ({}, "ray", "does not run on Ray"),
    ):
        with pytest.raises(InputError, match=sentence):
            start_train(own, snapshot_id=snapshot, config=CONFIG | changes, on=on)
