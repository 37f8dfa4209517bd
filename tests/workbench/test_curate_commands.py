"""Curation by commands alone, with and without a server, against the same keys on the page."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pipeline.config import RULE_PRESETS
from tests import warm
from workbench.cli.main import main
from workbench.paths import PROJECT
from workbench.workspace import RemoteWorkspace, Workspace, close_current_workspace

TRIPLETS = 34
ACTIONS = ("accept", "reject", "accept", "swap", "edit")
"""What becomes of the first thirty triplets, in turn."""
NEW_TEXT = "A boat, whichever, puts to sea."


@pytest.fixture
def boats(tmp_path: Path) -> Path:
    file = tmp_path / "boats.jsonl"
    rows = [
        {"sent0": f"Boat {n} leaves.", "sent1": f"Boat {n} sets sail.", "hard_neg": f"Boat {n} stays."}
        for n in range(TRIPLETS)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def run(*arguments: object, answer: Path | None = None) -> dict:
    """Run a command in this process, which opens and closes the workspace or asks its server; return its JSON."""
    file = answer or Path(os.environ["MULTICSR_WORKSPACE"]).parent / "answer.json"
    assert main([*map(str, arguments), "--json", str(file)]) == 0, arguments
    return json.loads(file.read_text())


def by_commands(boats: Path) -> None:
    """Thirty triplets, an undo and a redo, two undone, one decided again, the rest in bulk, a snapshot."""
    run("import", boats, "--name", "boats")
    for number in range(30):
        [triplet] = run("curate", "next", "--by", "ann")["triplets"]
        action = ACTIONS[number % len(ACTIONS)]
        how = ["--edit-positive", NEW_TEXT] if action == "edit" else [f"--{action}"]
        run("curate", "decide", triplet["triplet_id"], *how, "--by", "ann")
    assert run("curate", "undo", "--by", "ann")["batch_id"]
    assert run("curate", "redo", "--by", "ann")["batch_id"]
    assert run("curate", "undo", "--by", "bob")["batch_id"] is None
    run("curate", "undo", "--by", "ann")
    run("curate", "undo", "--by", "ann")
    [triplet] = run("curate", "next", "--by", "ann")["triplets"]
    run("curate", "decide", triplet["triplet_id"], "--reject", "--reason", "broken language", "--by", "ann")
    assert run("curate", "redo", "--by", "ann")["batch_id"] is None
    assert run("curate", "bulk", "accept", "--where", "decision=undecided", "--by", "ann", "--dry-run") == {
        "total": 5
    }
    told = run("curate", "bulk", "accept", "--where", "decision=undecided", "--by", "ann")
    assert (told["decided"], told["before"]["undecided"], told["after"].get("undecided", 0)) == (5, 5, 0)
    run("curate", "freeze", "--name", "boats")


def by_keys(boats: Path) -> None:
    """The same by the page's buttons, whose keys the browser test presses."""
    run("import", boats, "--name", "boats")
    app = AppTest.from_file(str(PROJECT / "pages" / "curate.py"), default_timeout=60)
    app.query_params["view"], app.query_params["annotator"] = "Queue", "ann"
    app.run()

    def press(name: str) -> None:
        app.button(key=f"queue_{name}").click().run()
        assert [error.message for error in app.exception] == []

    for number in range(30):
        action = ACTIONS[number % len(ACTIONS)]
        press(action)
        if action == "edit":
            next(area for area in app.text_area if area.label == "Positive").set_value(NEW_TEXT)
            app.button[[button.label for button in app.button].index("Save")].click().run()
            app.run()  # a browser reruns the fragment alone, which the stand-in cannot
    for step in ("undo", "redo", "undo", "undo", "reason_4"):
        press(step)
    app.button_group(key="tabs_view").set_value("List").run()
    app.selectbox(key="list_decision").set_value("undecided").run()
    app.button(key="bulk_go").click().run()
    assert [error.message for error in app.exception] == []
    close_current_workspace()
    run("curate", "freeze", "--name", "boats")


def state_of(root: Path) -> tuple[list[tuple], list[tuple]]:
    """Decisions in force and the rows of the snapshot; ids differ between workspaces, premises do not."""
    with Workspace(root) as workspace:
        store = workspace.store
        [snapshot] = store.snapshots.list()
        rows = store.snapshots.rows(snapshot.snapshot_id)
        premises = {row["triplet_id"]: row["premise"] for row in _rows(workspace)}
        latest = store.decisions.latest().astype(object)
        said = [
            (
                premises[row.triplet_id],
                row.action,
                row.positive or None,
                row.hard_negative or None,
                row.annotator,
                row.reason,
            )
            for row in latest.where(latest.notna(), None).itertuples()
        ]
    return said, list(rows[["premise", "positive", "hard_negative"]].itertuples(index=False, name=None))


def _rows(workspace: Workspace) -> list[dict]:
    from workbench.actions import ACTIONS as named

    return named["list_triplets"](workspace, limit=100)["triplets"]


def expected() -> tuple[list[tuple], list[tuple]]:
    """The right state, written down from what was pressed."""
    said, kept = [], []
    for number in range(TRIPLETS):
        premise, positive, hard_negative = (
            f"Boat {number} leaves.",
            f"Boat {number} sets sail.",
            f"Boat {number} stays.",
        )
        action, reason = ACTIONS[number % len(ACTIONS)] if number < 28 else "accept", ""
        if number == 28:
            action, reason = "reject", "broken language"
        changed = (None, None)
        if action == "swap":
            changed = (hard_negative, positive)
        if action == "edit":
            changed = (NEW_TEXT, hard_negative)
        said.append((premise, action, *changed, "ann", reason))
        if action != "reject":
            kept.append((premise, changed[0] or positive, changed[1] or hard_negative))
    return said, kept


def test_thirty_triplets_by_commands_without_a_server(boats, own_workspace):
    by_commands(boats)
    assert state_of(own_workspace) == expected()


def test_thirty_triplets_by_keys(boats, own_workspace):
    by_keys(boats)
    assert state_of(own_workspace) == expected()


@pytest.fixture
def server(own_workspace: Path, command_environment: dict[str, str], tmp_path: Path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (tmp_path / "server.log").open("wb") as log:
        command = [sys.executable, "-m", "workbench", "serve", "--port", str(port)]
        process = warm.start(command, env=command_environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    deadline = time.monotonic() + 120
    while RemoteWorkspace.find(own_workspace) is None:
        assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "server.log").read_text()
        time.sleep(0.1)
    yield process
    process.terminate()
    process.wait(timeout=30)


def test_thirty_triplets_by_commands_through_a_server(boats, own_workspace, server):
    by_commands(boats)
    server.terminate()
    server.wait(timeout=30)
    assert state_of(own_workspace) == expected()


def test_undo_reaches_over_processes(boats, own_workspace, workbench):
    """Each step is a process of its own; what can be undone stands in the journal, per annotator."""
    run("import", boats)
    first, second = (row["triplet_id"] for row in run("curate", "list", "--limit", 2)["triplets"])
    assert workbench("curate", "decide", first, "--accept", "--by", "ann").returncode == 0
    assert workbench("curate", "decide", second, "--swap", "--by", "bob").returncode == 0
    assert "Undone" in workbench("curate", "undo", "--by", "ann").stdout
    assert "ann has no decision to undo" in workbench("curate", "undo", "--by", "ann").stdout
    assert [row["step"] for row in run("curate", "history", first)["history"]] == ["decision", "undo"]
    decided = run("curate", "list", "--where", "decision=decided")["triplets"]
    assert [(row["triplet_id"], row["positive"]) for row in decided] == [(second, "Boat 1 stays.")]
    assert workbench("curate", "redo", "--by", "ann").returncode == 0
    assert run("curate", "list", "--where", "decision=decided")["total"] == 2


def test_the_earlier_form_of_curate_still_freezes(boats, own_workspace):
    run("import", boats)
    assert run("curate", "--name", "first")["triplets"] == TRIPLETS
    assert run("curate", "--workspace", own_workspace, "--alpha", 3, "--name", "second")["triplets"] == TRIPLETS


def test_rules_and_guidelines_are_kept_and_used(boats, own_workspace, tmp_path):
    run("curate", "rule", "save", "strict", "--alpha", 4, "--gamma", 1)
    run("curate", "rule", "save", "loose", "--alpha", 1)
    rules = run("curate", "rule", "list")
    assert rules["strict"] == {"alpha": 4.0, "beta": 4.5, "gamma": 1.0} and set(RULE_PRESETS) < set(rules)
    text = tmp_path / "how.md"
    text.write_text("**Entailed** means it must be true.")
    assert run("curate", "guidelines", text)["shared"] == 0.0
    notes = run("curate", "guidelines", "--shared", 1)
    assert (notes["guidelines"], notes["shared"], notes["saved"]) == (text.read_text(), 1.0, ["strict", "loose"])
    made = run("import", boats)["attempt_id"]
    with pytest.raises(AssertionError):
        run("curate", "freeze", "--name", "x", "--judge", "guide:all-MiniLM-L6-v2", "--rule", "stricter")
    assert run("curate", "next", "--by", "ann", "--attempt", made, "--rule", "strict")["total"] == TRIPLETS


def test_a_list_shows_at_least_one_triplet(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["curate", "list", "--limit", "0"])
    assert "argument --limit" in capsys.readouterr().err


def test_a_shared_triplet_shows_and_builds_on_the_generated_texts(boats, own_workspace):
    run("import", boats)
    run("curate", "guidelines", "--shared", 1)
    [seen] = run("curate", "next", "--by", "ann")["triplets"]
    run("curate", "decide", seen["triplet_id"], "--edit-positive", "Changed by ann.", "--by", "ann")
    [again] = run("curate", "next", "--by", "bob")["triplets"]
    assert (again["triplet_id"], again["blind"], again["positive"]) == (seen["triplet_id"], True, "Boat 0 sets sail.")
    run("curate", "decide", seen["triplet_id"], "--swap", "--by", "bob")
    [disputed] = run("curate", "next", "--by", "bob", "--disputed")["triplets"]
    assert (disputed["positive"], disputed["hard_negative"]) == ("Boat 0 stays.", "Boat 0 sets sail.")
    run("curate", "decide", seen["triplet_id"], "--edit-positive", "Settled.", "--settle", "--by", "eve")
    assert run("curate", "next", "--by", "bob", "--disputed")["left"] == 0


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("decide x --by ann", "Choose --accept"),
        ("decide x --accept --edit-positive y --by ann", "Choose --accept"),
        ("decide x --accept --by ann", "There is no triplet x"),
        ("decide x y --edit-positive z --by ann", "one triplet"),
        ("decide x --accept --by ( )", "name of who decides"),
        ("bulk accept --where decision=maybe --by ann", "decision of the filter must be one of"),
        ("bulk accept --where a_max=2 --by ann", "judge_id"),
        ("bulk accept --where a_max=high --by ann", "a_max of the filter must be a number"),
        ("bulk accept --where nothing=2 --by ann", "has no field nothing"),
        ("bulk accept --where pattern=[ --by ann", "[ is not a regular expression"),
        ("bulk accept --filter [] --by ann", "--filter"),
        ("bulk accept --expected 3 --by ann", "3 triplets were shown and 34 match"),
        ("next --by ann --attempt nothing", "no generation run 'nothing'"),
        ("freeze --name x --attempt nothing", "no generation run 'nothing'"),
        ("history nothing", "no triplet nothing"),
    ],
)
def test_what_cannot_be_decided_is_one_sentence(words, part, boats, own_workspace, capfd):
    run("import", boats)
    capfd.readouterr()
    assert main(["curate", *(" " if word == "(" else word for word in words.split() if word != ")")]) == 2
    told = capfd.readouterr().err
    assert part in told and told.count("\n") == 1, told


def test_any_action_can_be_called_with_json(boats, own_workspace, monkeypatch, capfd):
    assert run("call", "overview")["triplets"] == 0
    made = run("call", "save_pair_slice", json.dumps({"name": "odd", "task": "mine", "pairs": [["A.", "B."]]}))
    assert made["pairs"] == 1
    assert main(["call", "overviews"]) == 2
    assert main(["call", "job", '{"job_id": 3}']) == 2
    assert "job_id of the action job must be a text, got 3." in capfd.readouterr().err
