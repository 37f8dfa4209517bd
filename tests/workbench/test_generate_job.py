"""Generation jobs against a scripted server: rows taken over, budgets, failures counted, nothing stale."""

import json
import time
from pathlib import Path

import pytest

from pipeline.generation.prompt_sets import prompt_set
from tests.servers.batch_server import provider
from tests.servers.scripted_server import Answer, completion, serving
from workbench.actions import ACTIONS
from workbench.jobs.handlers.generation import CompactIds, cleaned_again
from workbench.workspace import Workspace

TEXTS = [f"Sentence number {i} is about the sea and boat {i}." for i in range(8)]


@pytest.fixture
def real(own_workspace: Path):
    with Workspace(own_workspace) as opened:
        yield opened


def script(_number, asked):
    if asked.get("logprobs"):
        return completion(" Rome")
    boat = asked["prompt"].rsplit("boat ", 1)[-1].split(".")[0]
    return completion(f" Text {len(asked['prompt'])} seed {asked['seed'] % 97} has mountains, number {boat}.")


def added(workspace, server, **settings):
    started = ACTIONS["add_llm"](workspace, name="far", url=server.url, settings={"timeout_s": 2.0} | settings)
    job = workspace.wait(started["job_id"], timeout_s=120)
    assert job.state == "finished", job.message
    return ACTIONS["import_premises"](workspace, text="\n".join(TEXTS), name="sea")["corpus_id"]


def generated(workspace, corpus, limit=None, **config):
    started = ACTIONS["start_generate"](
        workspace, corpus_id=corpus, limit=limit, config={"llm": "far", "omega": 0.0} | config
    )
    job = workspace.wait(started["job_id"], timeout_s=120)
    path = workspace.root / "jobs" / started["job_id"] / "journal.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return job, [row for row in rows if row["table"] == "triplets"]


def test_a_repeated_run_is_free_a_larger_one_pays_for_the_rest_and_nothing_is_stale(real):
    with serving(script) as server:
        corpus = added(real, server)
        before = len(server.calls)
        first, rows = generated(real, corpus, limit=5)
        assert (first.state, len(rows), len(server.calls) - before) == ("finished", 5, 10)
        assert {(row["contrast"], row["omega"]) for row in rows} == {("none", 0.0)}

        again, copied = generated(real, corpus, limit=5, token_budget=10**6)
        assert len(server.calls) - before == 10, "a repeated run makes no call"
        assert again.details["reused"] == 5 and again.details["outcomes"] == first.details["outcomes"]
        assert [row["positive"] for row in copied] == [row["positive"] for row in rows]
        assert {row["attempt_id"] for row in copied} == {again.job_id}

        larger, more = generated(real, corpus)
        assert len(server.calls) - before == 16 and larger.details["reused"] == 5
        assert sorted(row["premise"] for row in more) == sorted(TEXTS)

        for changed in ({"omega": 0.5}, {"seed": 1}, {"temperature": 0.5}, {"max_new_tokens": 20}, {"top_p": 0.5}):
            calls = len(server.calls)
            _, rows = generated(real, corpus, limit=2, **changed)
            assert len(server.calls) - calls == 4, f"{changed} must not be served from another run"
            assert all("reused_from" not in row for row in rows)
        counts = real.store.triplets.outcome_counts(larger.job_id)
        assert counts.groupby("side")["count"].sum().to_dict() == {"positive": 8, "hard_negative": 8}


def test_a_budget_stops_the_job_what_was_paid_is_kept_and_the_next_run_goes_on(real):
    with serving(script) as server:
        corpus = added(real, server, price_in=2.0, price_out=8.0)
        job, rows = generated(real, corpus, money_budget=0.002, max_new_tokens=8)
        assert job.state == "failed" and "start the run again with a larger one" in job.message
        assert 0 < len(rows) < len(TEXTS)
        usage = real.store.llm_usage.of(job.job_id)
        assert usage["money"] <= 0.002 and usage["calls"] >= 2 * len(rows)
        assert job.details["usage"]["calls"] == usage["calls"]

        resumed = ACTIONS["resume"](real, job_id=job.job_id)
        still = real.wait(resumed["job_id"], timeout_s=60)
        assert still.state == "failed", "what was spent before a resume counts"
        assert real.store.llm_usage.of(job.job_id)["money"] <= 0.002

        done, more = generated(real, corpus)
        assert done.state == "finished" and len(more) == len(TEXTS)


def test_failed_rows_are_counted_with_their_reasons_and_tried_again_by_the_next_run(real):
    faults = {"on": True}

    def faulty(number, asked):
        return (
            Answer(422, {"error": {"message": "no"}})
            if faults["on"] and "boat 3." in asked["prompt"]
            else script(number, asked)
        )

    with serving(faulty) as server:
        corpus = added(real, server)
        job, rows = generated(real, corpus)
        assert job.state == "finished" and len(rows) == len(TEXTS)
        assert job.details["outcomes"]["positive failed"] == 1
        assert job.details["reasons"] == {"The server answered 422 (no)": 2}
        faults["on"] = False
        calls = len(server.calls)
        again, _ = generated(real, corpus)
        assert len(server.calls) - calls == 2 and again.details["reused"] == len(TEXTS) - 1
        assert "positive failed" not in again.details["outcomes"]


def test_compact_ids_are_a_set():
    ids = [f"{i:016x}" for i in range(0, 60_000, 3)] + ["not hex", "", "é"]
    known = CompactIds(ids)
    assert len(known) == len(ids)
    assert all(one in known for one in ids[::500]) and "not hex" in known
    assert f"{1:016x}" not in known and "other" not in known and "x" not in CompactIds()
    both = known.plus(CompactIds([f"{1:016x}"]))
    assert f"{1:016x}" in both and len(both) == len(ids) + 1


def test_rows_of_an_earlier_run_are_cleaned_again_when_they_are_taken_over():
    known = {
        "premise": "A dog is running.", "tokens": 9,
        "positive": "<think>", "positive_outcome": "ok", "positive_raw": "<think>\nhm\n</think>\n\nA hound sprints.",
        "hard_negative": "A hound sprints", "hard_negative_outcome": "ok", "hard_negative_raw": "A hound sprints",
    }  # fmt: skip
    again = cleaned_again(known, prompt_set("default"))
    assert (again["positive"], again["positive_outcome"]) == ("A hound sprints.", "ok")
    assert again["hard_negative_outcome"] == "copy" and again["tokens"] == 9
    cut = known | {"positive_raw": "<think>hm", "positive_outcome": "truncated"}
    assert cleaned_again(cut, prompt_set("default"))["positive_outcome"] == "truncated"


def test_an_imported_hard_negative_that_says_the_positive_again_is_a_copy(real, tmp_path):
    rows = (("A dog runs.", "A hound runs.", "a hound runs"), ("It rains.", "Rain falls.", "It is dry."))
    names = ("premise", "positive", "hard_negative")
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows))
    ACTIONS["import_triplets"](real, path=str(path))
    attempts = real.store.triplets.attempts()
    assert (int(attempts["rows"].sum()), int(attempts["ok"].sum())) == (2, 1)


def test_a_run_through_the_batch_api_is_paused_and_resumed_with_each_row_once_and_paid_for_once(real):
    def reply(body):
        return {"content": f"Mountains are high, as {len(str(body['messages'][-1]))} people say."}

    with provider(reply, polls=10**6) as (url, kept):
        settings = {"model": "m", "form": "chat", "batch_api": True, "timeout_s": 5.0, "price_in": 2.0}
        checked = ACTIONS["add_llm"](real, name="far", url=url, settings=settings)["job_id"]
        assert real.wait(checked, timeout_s=120).state == "finished"
        corpus = ACTIONS["import_premises"](real, text="\n".join(TEXTS), name="sea")["corpus_id"]
        job_id = ACTIONS["start_generate"](real, corpus_id=corpus, config={"llm": "far", "omega": 0.5})["job_id"]
        until = time.monotonic() + 120
        while not kept.batches and time.monotonic() < until:
            time.sleep(0.1)
        ACTIONS["pause"](real, job_id=job_id)
        assert real.wait(job_id, timeout_s=60).state == "paused"
        assert [batch["status"] for batch in kept.batches.values()] == ["in_progress"]
        kept.polls = 0
        ACTIONS["resume"](real, job_id=job_id)
        job = real.wait(job_id, timeout_s=120)
        assert job.state == "finished", job.message
        assert len(kept.batches) == 1 and len(kept.charged) == len(set(kept.charged)) == 2 * len(TEXTS)
    path = real.root / "jobs" / job_id / "journal.jsonl"
    rows = [row for row in map(json.loads, path.read_text().splitlines()) if row["table"] == "triplets"]
    assert sorted(row["premise"] for row in rows) == sorted(TEXTS) and {row["contrast"] for row in rows} == {"none"}
    usage = real.store.llm_usage.of(job_id)
    assert (usage["calls"], usage["money"]) == (16, pytest.approx(16 * 100 * 2.0 / 1e6 / 2))
