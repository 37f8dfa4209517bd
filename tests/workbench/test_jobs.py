import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from stand_ins import generating, judging
from store_samples import premises, triplet_row

from pipeline.records import InputError
from workbench.actions import ACTIONS
from workbench.jobs import worker
from workbench.jobs.context import JobContext
from workbench.jobs.folder import JobFolder, JobRecord, Status
from workbench.jobs.handlers import premises as premise_handlers
from workbench.jobs.kinds import FetchPremisesSpec
from workbench.store.filters import TripletFilter
from workbench.workspace import Workspace, close_current_workspace, current_workspace


def start(workspace, count=40, **settings):
    return workspace.jobs.submit(generating(batch=4, **settings), premises(count), title="a run")


def until(workspace, job_id, state, timeout_s=120.0):
    deadline = time.monotonic() + timeout_s
    while (view := workspace.jobs.get(job_id)).state != state:
        assert time.monotonic() < deadline, f"{view} never became {state}"
        time.sleep(0.02)
    return view


def test_a_job_runs_and_its_rows_are_there_when_it_says_finished(workspace):
    job_id = start(workspace, 100)
    view = until(workspace, job_id, "finished")
    assert workspace.store.triplets.count(TripletFilter(attempt_ids=(job_id,))) == 100
    assert (view.done, view.total, view.title, view.kind) == (100, 100, "a run", "generate")
    assert view.started_at and view.finished_at and view.rate and view.details == {}
    workspace.wait(job_id)
    [attempt] = workspace.store.triplets.attempts().to_dict("records")
    assert (attempt["attempt_id"], attempt["title"], attempt["rows"], attempt["ok"]) == (job_id, "a run", 100, 90)


def test_pause_keeps_the_place_and_resume_goes_on(workspace):
    job_id = start(workspace, 200, delay_s=0.05)
    deadline = time.monotonic() + 120
    while workspace.jobs.get(job_id).done < 8 and time.monotonic() < deadline:
        time.sleep(0.02)
    workspace.jobs.pause(job_id)
    view = until(workspace, job_id, "paused")
    assert 8 <= view.done < 200
    with pytest.raises(InputError, match="is paused"):
        workspace.jobs.pause(job_id)
    journal = JobFolder(workspace.root / "jobs" / job_id).journal
    before = journal.read_bytes()
    spec = JobFolder(workspace.root / "jobs" / job_id).path / "spec.json"
    assert json.loads(spec.read_text())["settings"]["origin"] == '{"batch": 4, "delay_s": 0.05}'
    workspace.jobs.resume(job_id)
    assert until(workspace, job_id, "finished").done == 200
    assert journal.read_bytes().startswith(before)
    assert workspace.store.counts()["triplets"] == 200


def test_cancel_is_final_and_keeps_what_was_saved(workspace):
    job_id = start(workspace, 400, delay_s=0.05)
    until(workspace, job_id, "running")
    workspace.jobs.cancel(job_id)
    workspace.wait(job_id, timeout_s=120)
    view = until(workspace, job_id, "cancelled")
    assert workspace.store.counts()["triplets"] == view.done < 400
    for action in (workspace.jobs.resume, workspace.jobs.cancel, workspace.jobs.pause):
        with pytest.raises(InputError, match="is cancelled"):
            action(job_id)


def test_one_job_per_lane_in_the_order_of_submission(workspace):
    first, second, third = (start(workspace, 8, delay_s=0.2) for _ in range(3))
    until(workspace, first, "running")
    assert [workspace.jobs.get(job).state for job in (second, third)] == ["queued", "queued"]
    workspace.jobs.cancel(second)
    assert workspace.jobs.get(second).state == "cancelled"
    until(workspace, third, "finished")
    views = {view.job_id: view for view in workspace.jobs.list()}
    assert list(views) == [third, second, first]
    assert views[first].finished_at <= views[third].started_at
    assert views[second].started_at is None


def test_queue_survives_a_restart(tmp_path, stand_in):
    with Workspace(tmp_path / "ws") as workspace:
        running, queued = start(workspace, 40, delay_s=0.1), start(workspace, 8)
        until(workspace, running, "running")
    with Workspace(tmp_path / "ws") as workspace:
        assert workspace.jobs.get(queued).state == "queued"
        assert workspace.jobs.get(running).state == "running"
        assert until(workspace, queued, "finished").done == 8
        assert workspace.jobs.get(running).state == "finished"
        assert workspace.store.counts()["triplets"] == 48


@pytest.mark.parametrize(
    ("how", "state", "words"),
    [
        ("input", "failed", "The folder /nowhere holds no STS files; name another one."),
        ("crash", "failed", "unexpected RuntimeError (tensor went missing); its log"),
        ("exit", "interrupted", "stopped from outside"),
    ],
)
def test_every_end_has_its_word_and_sentence(workspace, how, state, words):
    job_id = workspace.jobs.submit(judging(how))
    view = workspace.wait(job_id, timeout_s=120)
    assert view.state == state
    assert words in view.message
    assert ("Traceback" in workspace.jobs.log(job_id)) == (how == "crash")


def test_worker_that_cannot_begin_fails_instead_of_starting_for_ever(workspace, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    view = workspace.wait(workspace.jobs.submit(judging("input")), timeout_s=120)
    deadline = time.monotonic() + 120
    while view.state != "failed" and time.monotonic() < deadline:
        view = workspace.jobs.get(view.job_id)
    assert view.state == "failed" and "before it began" in view.message


def test_keys_reach_the_worker_by_environment_only(workspace, monkeypatch):
    monkeypatch.setenv("MULTICSR_TEST_KEY", "sk-very-secret")
    job_id = workspace.jobs.submit(judging("print"))
    workspace.wait(job_id, timeout_s=120)
    assert workspace.jobs.log(job_id) == "sk-very-secret\n"
    folder = workspace.root / "jobs" / job_id
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "log":
            assert b"sk-very-secret" not in path.read_bytes()


def test_rows_that_cannot_be_stored_are_reported_with_the_job(workspace):
    rows = [triplet_row("good"), {"table": "inventions", "x": 1}, {"table": "triplets", "premise": "no id"}]
    view = workspace.wait(workspace.jobs.submit(judging("rows", rows)), timeout_s=120)
    assert view.state == "finished"
    assert view.details == {"rows_not_stored": {"unusable": 1, "inventions": 1}}
    assert workspace.store.counts()["triplets"] == 1


def test_error_of_one_journal_stops_no_other(workspace, monkeypatch):
    real = workspace.store.journals.ingest

    def ingest(source, path):
        if b"poison" in path.read_bytes():
            raise OSError("the table caught fire")
        return real(source, path)

    monkeypatch.setattr(workspace.store.journals, "ingest", ingest)
    poisoned = workspace.jobs.submit(judging("rows", [triplet_row("poison")]))
    healthy = start(workspace, 12)
    view = workspace.wait(poisoned, timeout_s=120)
    assert view.details["ingest_error"] == "the table caught fire"
    assert workspace.wait(healthy, timeout_s=120).state == "finished"
    assert workspace.store.counts()["triplets"] == 12
    monkeypatch.setattr(workspace.store.journals, "ingest", real)
    deadline = time.monotonic() + 120
    while workspace.store.counts()["triplets"] < 13 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert workspace.jobs.get(poisoned).details == {}


def test_no_zombies_are_left(cold_start, workspace):
    before = zombies()
    for _ in range(3):
        workspace.wait(workspace.jobs.submit(judging("input")), timeout_s=120)
    time.sleep(1.0)
    assert zombies() <= before


def zombies():
    me, found = os.getpid(), set()
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                state, parent = (process / "stat").read_text().rsplit(")", 1)[1].split()[:2]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(parent) == me and state == "Z":
                found.add(process.name)
    return found


def test_a_machine_that_shuts_down_finds_the_job_paused(workspace):
    job_id = start(workspace, 400, delay_s=0.05)
    until(workspace, job_id, "running")
    [child] = workspace.jobs._children.values()
    deadline = time.monotonic() + 120
    while workspace.jobs.get(job_id).done == 0 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(child.process.pid, signal.SIGTERM)
    assert 0 < until(workspace, job_id, "paused").done < 400


def test_lost_status_file_is_an_interrupted_job_not_a_broken_page(workspace):
    job_id = start(workspace, 8)
    until(workspace, job_id, "finished")
    (workspace.root / "jobs" / job_id / "status.json").write_bytes(b"")
    assert workspace.jobs.get(job_id).state == "interrupted"
    workspace.jobs.resume(job_id)
    assert until(workspace, job_id, "finished").done == 8
    assert workspace.store.counts()["triplets"] == 8


@pytest.mark.parametrize("job_id", ["nothing", "../ws", "", "."])
def test_unknown_jobs_are_refused(workspace, job_id):
    with pytest.raises(InputError, match="There is no job"):
        workspace.jobs.get(job_id)


def test_unknown_kind_is_refused():
    with pytest.raises(InputError, match="no job of the kind os"):
        JobRecord.from_json({"job_id": "x", "kind": "os", "title": "", "created_at": "", "settings": {}})


def test_the_current_workspace_is_one_object_per_folder(own_workspace, tmp_path, monkeypatch):
    try:
        first = current_workspace()
        assert first is current_workspace()
        assert first.root == own_workspace
        monkeypatch.setenv("MULTICSR_WORKSPACE", str(tmp_path / "other"))
        assert current_workspace().root == tmp_path / "other"
    finally:
        close_current_workspace()


def test_a_job_ends_with_the_figures_it_reported_last(tmp_path):
    """Reports that follow each other closely are not all written; the last one must not be lost with them."""
    folder = JobFolder(tmp_path / "job")
    folder.create(JobRecord("job", "t", "2026-01-01", generating()), Status(), None)
    context = JobContext(folder.path)
    context.begin()
    context.progress(1, 9, calls=11)
    context.progress(2, 9, calls=12)
    context.end("failed", "over budget")
    ended = folder.status()
    assert (ended.state, ended.done, ended.details["calls"]) == ("failed", 2, 12)


def test_a_torn_last_line_keeps_nobody_waiting(workspace):
    """A killed writer leaves a part of a line; it never counts as written, so nothing is left to store."""
    job_id = start(workspace, 8)
    workspace.wait(job_id, timeout_s=120)
    with JobFolder(workspace.root / "jobs" / job_id).journal.open("ab") as journal:
        journal.write(b'{"table": "trip')
    assert workspace.wait(job_id, timeout_s=20).state == "finished"
    assert ACTIONS["job"](workspace, job_id=job_id)["settled"]


def test_a_stop_during_a_download_pauses_the_job_after_it(tmp_path, monkeypatch):
    folder = JobFolder(tmp_path / "job")
    folder.create(JobRecord("job", "t", "2026-01-01", FetchPremisesSpec("a/b/c.txt", "", None, "c")), Status())
    folder.ask("pause")
    monkeypatch.delenv("MULTICSR_TEST_HANDLERS", raising=False)
    monkeypatch.setattr(premise_handlers, "fetch", lambda name: None)
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert worker.main([str(folder.path)]) == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    assert folder.status().state == "paused"
