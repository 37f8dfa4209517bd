"""Hygiene as a job with the real guide: what it finds, what is decided about it, and the neighbours it leaves."""

import pandas as pd
import pytest

from pipeline.records import text_id
from tests.workbench.store_samples import add_import
from workbench.actions import ACTIONS
from workbench.results import latest_hygiene
from workbench.workspace import Workspace

ROWS = [
    ("A man plays the guitar on a stage.", "Someone makes music on a stage.", "Nobody is on the stage."),
    ("a man plays the guitar on a stage", "someone makes music on a stage", "nobody is on the stage"),
    ("A dog runs over the field.", "a dog runs over the field", "The dog lies in its basket."),
    ("The soup is hot.", "Whales are mammals.", "The soup is very hot."),
    ("A woman cuts an onion.", "A lady slices an onion.", "Nobody is cutting anything."),
    ("A person slices onions.", "Onions are being cut.", "The kitchen is empty."),
]


@pytest.fixture
def workspace(tmp_path):
    with Workspace(tmp_path / "ws") as opened:
        yield opened


@pytest.fixture
def attempt(workspace):
    frame = pd.DataFrame(ROWS, columns=["premise", "positive", "hard_negative"])
    frame["premise_id"] = frame["premise"].map(text_id)
    return add_import(workspace.store, "six", "six.csv", frame)


def test_a_look_finds_what_was_planted(workspace, attempt, tmp_path):
    sts = tmp_path / "sts"
    sts.mkdir()
    (sts / "STS12.tsv").write_text("score\tsentence1\tsentence2\n5\tA woman cuts an onion\tx y z\n1\tq\tr\n")
    started = ACTIONS["start_hygiene"](workspace, attempt_ids=[attempt], sts_dir=str(sts))
    view = workspace.wait(started["job_id"], timeout_s=180)
    assert view.state == "finished", view.message
    run = latest_hygiene(workspace, [attempt])
    ids = {number: f"{attempt}-{number}" for number in range(len(ROWS))}
    assert run.triplets == len(ROWS) and run.about["tasks"] == ["STS12"]
    groups = run.table("duplicates")
    assert groups["triplet_id"].tolist() == [ids[0], ids[1]] and set(groups["kind"]) == {"exact"}
    leaks = run.table("leaks")
    assert leaks[["triplet_id", "side", "task"]].values.tolist() == [[ids[4], "premise", "STS12"]]
    assert run.table("copies").values.tolist() == [[ids[2], "positive_copy"]]
    assert ids[3] in set(run.table("closer")["triplet_id"])
    masked = run.table("masked")
    pair = masked[(masked["premise_of"] == ids[0]) & (masked["candidate_of"] == ids[1])]
    assert pair["cosine"].max() > 0.7 and masked["cosine"].is_monotonic_decreasing
    own = (masked["premise_of"] == masked["candidate_of"]) & ~masked["is_hard_negative"]
    assert not own.any()
    assert run.about["candidates"] == len(ROWS) * (2 * len(ROWS) - 1)
    near = run.neighbours(ids[4], ROWS[4][0], count=2)
    assert near.iloc[0]["premise"] == ROWS[5][0] and 0.5 < near.iloc[0]["cosine"] < 1
    assert run.neighbours("x", "Never seen.") is None


def test_keep_one_is_one_step_and_names_the_kept(workspace, attempt):
    groups = [[f"{attempt}-1", f"{attempt}-0"], [f"{attempt}-4", f"{attempt}-5", f"{attempt}-3"]]
    assert ACTIONS["keep_one"](workspace, groups=groups, annotator="ann")["rejected"] == 3
    latest = workspace.store.decisions.latest().set_index("triplet_id")
    assert latest.loc[f"{attempt}-0", "reason"] == f"duplicate of triplet {attempt}-1"
    everything = [f"{attempt}-{number}" for number in range(6)]
    assert workspace.store.decisions.rejected(everything) == {f"{attempt}-{number}" for number in (0, 3, 5)}
    workspace.store.decisions.undo("ann")
    assert workspace.store.decisions.rejected(everything) == set()
    started = ACTIONS["reject_all"](workspace, triplet_ids=everything[:2] * 2, reason="copy", annotator="ann")
    assert started["rejected"] == 2


def test_rejected_triplets_are_left_out_and_no_guide_is_no_cosine(workspace, attempt):
    ACTIONS["reject_all"](workspace, triplet_ids=[f"{attempt}-0"], reason="", annotator="ann")
    started = ACTIONS["start_hygiene"](workspace, attempt_ids=[attempt], guide=None)
    assert started["triplets"] == 5
    assert workspace.wait(started["job_id"], timeout_s=120).state == "finished"
    run = latest_hygiene(workspace, [attempt])
    assert not run.has_guide and run.table("duplicates").empty and run.about["tasks"] == []
    assert latest_hygiene(workspace, ["another"]) is None
