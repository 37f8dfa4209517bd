"""Premises from scratch as jobs: the embedded LLM killed and resumed, servers and budgets, the command line."""

import json
import os
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.generation.premise_prompts import Length
from pipeline.generation.written_premises import Attempt, Cell, PremiseOutcome
from pipeline.records import InputError
from tests.servers.scripted_server import Answer, completion, serving
from tests.workbench.processes import wait_for, worker_of
from workbench.actions import ACTIONS
from workbench.jobs.folder import JobFolder, Status
from workbench.jobs.handlers.premises import attempt_row
from workbench.workspace import Workspace

TINY = {
    "topics": ["my own topic"],
    "genres": ["caption", "question"],
    "per_cell": 2,
    "tries": 2,
    "max_new_tokens": 30,
}
CELLS = 1 * 2 * 3


@pytest.fixture
def real(own_workspace: Path):
    with Workspace(own_workspace) as opened:
        yield opened


def rows_of(workspace, job_id, table="premise_attempts"):
    journal = workspace.root / "jobs" / job_id / "journal.jsonl"
    whole = journal.read_bytes().rpartition(b"\n")[0] if journal.exists() else b""
    return [row for row in map(json.loads, whole.splitlines()) if row["table"] == table]


def test_a_killed_and_resumed_run_fills_cells_with_every_attempt_counted_once(real):
    started = ACTIONS["start_write_premises"](real, config=TINY | {"batch_size": 4}, name="mine")
    job_id = started["job_id"]
    assert started["wanted"] == CELLS * 2
    wait_for(lambda: rows_of(real, job_id), timeout_s=120)
    os.kill(wait_for(lambda: worker_of(real.root, job_id)), signal.SIGKILL)
    assert real.wait(job_id, timeout_s=20).state == "interrupted"
    kept = rows_of(real, job_id)
    ACTIONS["resume"](real, job_id=job_id)
    job = real.wait(job_id, timeout_s=300)

    assert job.state == "finished", job.message
    rows = rows_of(real, job_id)
    assert rows[: len(kept)] == kept, "what was acknowledged before the kill stays as it was"
    keys = Counter((row["topic"], row["genre"], row["asked"], row["number"]) for row in rows)
    assert set(keys.values()) == {1}
    ok = [row for row in rows if row["outcome"] == "ok"]
    assert job.details["outcomes"] == Counter(row["outcome"] for row in rows)
    assert real.store.premise_attempts.outcome_counts(job_id) == job.details["outcomes"]
    corpus = real.store.premises.corpus(job_id)
    assert (corpus.name, corpus.premises, job.done) == ("mine", len(ok), len(ok))
    assert sorted(real.store.premises.rows(job_id)["text"]) == sorted(row["text"] for row in ok)
    coverage = real.store.premise_attempts.coverage(job_id)
    assert coverage["premises"].sum() == len(ok) and coverage["premises"].max() <= 2
    assert all(Length.of(row["text"]) == row["length"] for row in ok)
    full = sum(coverage["premises"] == 2)
    assert (job.details["full_cells"], job.details["cells"]) == (full, CELLS)
    assert f"{full} of {CELLS} cells are full" in job.message
    generated = ACTIONS["start_generate"](real, corpus_id=job_id, limit=1, config={"max_new_tokens": 8})
    assert real.wait(generated["job_id"], timeout_s=240).state == "finished", "it is a corpus like any other"


def test_a_premise_whose_line_a_kill_cut_off_is_written_on_resuming(real):
    started = ACTIONS["start_write_premises"](
        real, config=TINY | {"genres": ["caption"], "lengths": ["medium"], "per_cell": 1, "tries": 1}
    )
    ACTIONS["cancel"](real, job_id=started["job_id"])
    asked = JobFolder(real.root / "jobs" / started["job_id"]).record()
    job_id = "20260101-000000-000-write_premises-cut0"
    folder = JobFolder(real.root / "jobs" / job_id)
    folder.create(replace(asked, job_id=job_id), Status(state="paused"))
    text = "Two dogs chase a ball across the wet grass."
    attempt = Attempt(Cell("my own topic", "caption", Length.MEDIUM), 0, text, Length.MEDIUM, PremiseOutcome.OK)
    folder.journal.write_text(json.dumps(attempt_row(job_id, attempt)) + '\n{"table": "premi', encoding="utf-8")
    ACTIONS["resume"](real, job_id=job_id)
    job = real.wait(job_id, timeout_s=120)
    assert (job.state, job.done, job.details["outcomes"]) == ("finished", 1, {"ok": 1}), job.message
    assert real.store.premises.rows(job_id)["text"].tolist() == [text]


@pytest.mark.parametrize(("word", "state"), [("cancel", "cancelled"), ("finish", "finished")])
def test_a_run_that_is_stopped_keeps_what_it_has_as_a_corpus(real, word, state):
    started = ACTIONS["start_write_premises"](real, config=TINY | {"per_cell": 50, "batch_size": 4})
    job_id = started["job_id"]
    wait_for(lambda: any(row["outcome"] == "ok" for row in rows_of(real, job_id)), timeout_s=120)
    ACTIONS[word](real, job_id=job_id)
    job = real.wait(job_id, timeout_s=60)
    assert job.state == state
    assert "used up" not in job.message
    kept = sum(row["outcome"] == "ok" for row in rows_of(real, job_id))
    wait_for(lambda: real.store.premises.corpus(job_id).premises == kept, timeout_s=20)


def script(number, asked):
    if "kennel" not in asked["prompt"]:
        return completion(" Rome")
    if number % 5 == 4:
        return Answer(400, {"error": {"message": "not this one"}})
    return completion(f" Dog number {number} of kennel{number} barks at mailman{number}.\nAbout cats, short: No.")


def test_a_server_writes_premises_and_what_it_refuses_is_failed_with_its_reason(real):
    with serving(script) as server:
        added = ACTIONS["add_llm"](real, name="far", url=server.url, settings={"timeout_s": 2.0, "price_out": 1.0})
        assert real.wait(added["job_id"], timeout_s=120).state == "finished"
        config = {"llm": "far", "topics": ["a kennel"], "genres": ["caption"], "lengths": ["medium"], "per_cell": 6}
        started = ACTIONS["start_write_premises"](real, config=config | {"tries": 2})
        job = real.wait(started["job_id"], timeout_s=120)
        assert job.state == "finished", job.message
        rows = rows_of(real, started["job_id"])
        assert {row["outcome"] for row in rows} == {"ok", "failed"}
        assert all("\n" not in row["text"] for row in rows)
        assert all("not this one" in row["reason"] for row in rows if row["outcome"] == "failed")
        assert sum(job.details["reasons"].values()) == job.details["outcomes"]["failed"]
        answered = [row for row in rows if row["outcome"] == "ok"]
        assert job.details["usage"]["calls"] == len(answered) == 6, "over all rounds; a refused call costs nothing"

        before = len(server.calls)
        wide = config | {"genres": ["caption", "news", "story"], "token_budget": 900}
        broke = ACTIONS["start_write_premises"](real, config=wide)
        job = real.wait(broke["job_id"], timeout_s=120)
        assert job.state == "failed" and "budget" in job.message, "genres share one budget"
        kept = rows_of(real, broke["job_id"])
        assert 6 < len(kept) < 18 and len({row["genre"] for row in kept}) > 1
        assert len(kept) == len(server.calls) - before, "what was paid for is kept"
        spent = job.details["usage"]
        assert spent["prompt_tokens"] + spent["reply_tokens"] <= 900


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"genres": ["poem"]}, "'poem'"),
        ({"lengths": ["tiny"]}, "'tiny'"),
        ({"llm": "nobody"}, "'nobody'"),
        ({"per_cell": 0}, "per_cell"),
        ({"topics": ["x" * 61]}, "60 characters"),
        ({"token_budget": -1}, "token_budget"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_a_job_begins(real, config, told):
    with pytest.raises(InputError, match=told):
        ACTIONS["start_write_premises"](real, config=config)
    assert real.jobs.list() == []


def test_the_command_writes_a_corpus_and_says_how_to_go_on(workbench, tmp_path: Path):
    answer = tmp_path / "answer.json"
    settings = [
        "--topics",
        "dogs, my own topic",
        "--genres",
        "caption",
        "--lengths",
        "short,medium",
        "--per-cell",
        "1",
    ]
    done = workbench("write-premises", "--name", "a few", *settings, "--json", answer)
    assert done.returncode == 0, done.stderr
    told = json.loads(answer.read_text())
    assert (told["wanted"], told["cells"]) == (4, 4) and told["premises"] == told["outcomes"]["ok"] > 0
    assert "of 4 cells are full" in done.stdout and "generate --corpus 'a few'" in done.stdout
    refused = workbench("write-premises", "--genres", "poem")
    assert refused.returncode == 2 and "poem" in refused.stderr and "Traceback" not in refused.stderr


def test_the_job_folder_says_what_was_asked(real):
    with pytest.raises(InputError, match="The name of a corpus"):
        ACTIONS["start_write_premises"](real, config=TINY, name="  ")
    started = ACTIONS["start_write_premises"](real, config=TINY)
    asked = JobFolder(real.root / "jobs" / started["job_id"]).record()
    assert started["name"] == asked.spec.corpus == "from scratch"
    assert asked.spec.config.topics == ("my own topic",)
    assert asked.spec.llm.name == "smollm2-135m"
    ACTIONS["cancel"](real, job_id=started["job_id"])
