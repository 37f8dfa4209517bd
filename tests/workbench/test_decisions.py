import subprocess
import sys

import pandas as pd
import pytest
from store_samples import add, triplet_row

from pipeline.records import InputError
from workbench.store import Store
from workbench.store.decisions import Decision
from workbench.store.filters import TripletFilter


@pytest.fixture
def filled(store):
    add(store, "triplets", [triplet_row(name, positive=f"p {name}", hard_negative=f"n {name}") for name in "xyz"])
    return store


def state(store, triplet_id="x"):
    rows = store.triplets.rows(TripletFilter())
    row = rows[rows["triplet_id"] == triplet_id].iloc[0]
    return (None if pd.isna(row["decision"]) else row["decision"], row["positive"], row["hard_negative"])


def decide(store, action, triplet_id="x", annotator="ann", **texts):
    return store.decisions.append([Decision(triplet_id, action, annotator=annotator, **texts)])


def test_each_undo_takes_back_one_batch_of_that_annotator(filled):
    generated = (None, "p x", "n x")
    assert state(filled) == generated
    steps = [generated]
    for action, texts in (
        ("accept", {}),
        ("edit", {"positive": "better"}),
        ("swap", {}),
        ("reject", {}),
        ("reset", {}),
    ):
        decide(filled, action, **texts)
        steps.append(state(filled))
    assert steps[1:] == [
        ("accept", "p x", "n x"),
        ("edit", "better", "n x"),
        ("swap", "n x", "better"),
        ("reject", "n x", "better"),
        generated,
    ]
    while len(steps) > 1:
        steps.pop()
        assert filled.decisions.undo("ann") is not None
        assert state(filled) == steps[-1]
    assert filled.decisions.undo("ann") is None
    assert len(filled.decisions.history("x")) == 10  # five decisions, five inverses: nothing was deleted


def test_reset_gives_the_generated_texts_back(filled):
    decide(filled, "edit", hard_negative="other")
    decide(filled, "reset")
    assert state(filled) == (None, "p x", "n x")


def test_undo_spares_what_somebody_else_decided_later(filled):
    filled.decisions.append([Decision(name, "accept", annotator="ann") for name in "xy"])
    decide(filled, "reject", "x", annotator="bob")
    filled.decisions.undo("ann")
    assert (state(filled, "x")[0], state(filled, "y")[0]) == ("reject", None)
    assert filled.decisions.undo("bob") is not None
    assert state(filled, "x")[0] is None


def test_two_decisions_on_one_triplet_in_one_batch_build_on_each_other(filled):
    filled.decisions.append([Decision("x", "edit", positive="new"), Decision("x", "swap")])
    assert state(filled) == ("swap", "n x", "new")


def test_counts_cover_every_triplet(filled):
    filled.decisions.append([Decision("x", "accept"), Decision("y", "reject")])
    assert filled.decisions.counts(["attempt"]) == {"accept": 1, "reject": 1, "undecided": 1}
    assert filled.overview()["decided"] == 2
    assert filled.decisions.latest()["triplet_id"].tolist() == ["x", "y"]


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        (Decision("nobody", "accept"), "no triplet nobody"),
        (Decision("x", "burn"), "'burn' is not a decision"),
        (Decision("x", "edit", positive="  "), "one is empty"),
    ],
)
def test_a_bad_decision_keeps_nothing(filled, decision, words):
    with pytest.raises(InputError, match=words):
        filled.decisions.append([Decision("y", "accept"), decision])
    assert filled.counts()["decisions"] == 0
    assert not (filled.root / "decisions.jsonl").exists()


def test_decision_logged_before_a_kill_is_stored_at_the_next_start(tmp_path, stand_in):
    """Killed between the fsync of the log and the commit: the log wins."""
    path = tmp_path / "state.duckdb"
    with Store(path) as store:
        add(store, "triplets", [triplet_row("x"), triplet_row("y")])
        store.decisions.append([Decision("x", "accept", annotator="ann")])
    script = """
import os, signal, sys
from pathlib import Path
from workbench.store import Store
from workbench.store.decisions import Decision
store = Store(Path(sys.argv[1]))
store.journals.ingest_all = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
store.decisions.append([Decision("x", "reject", annotator="ann"), Decision("y", "swap", annotator="ann")])
"""
    killed = subprocess.run([sys.executable, "-c", script, str(path)], env=stand_in)
    assert killed.returncode == -9
    with Store(path) as store:
        assert store.decisions.latest()["action"].tolist() == ["reject", "swap"]
        assert store.decisions.undo("ann") is not None
        assert store.decisions.latest()["action"].tolist() == ["accept"]


def test_torn_decision_is_dropped_as_a_whole(tmp_path):
    path = tmp_path / "state.duckdb"
    with Store(path) as store:
        add(store, "triplets", [triplet_row("x"), triplet_row("y")])
        decide(store, "accept")
    with (tmp_path / "decisions.jsonl").open("ab") as log:
        log.write(b'{"table": "decisions", "batch_id": "torn", "first_sequence": 2, "decisions": [{"triplet_id": "y"')
    with Store(path) as store:
        decide(store, "reject", "y")
        assert store.decisions.latest()["action"].tolist() == ["accept", "reject"]
        assert store.counts()["decisions"] == 2
