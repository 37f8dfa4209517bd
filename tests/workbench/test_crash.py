"""kill -9 again and again, twenty times in a drill: of the worker, and of the process that owns the workspace."""

import os
import signal
import subprocess
import sys
import time
from random import Random

import pytest
from stand_ins import generating

from tests.conftest import DRILL
from tests.workbench.processes import wait_for, worker_of
from workbench.jobs.folder import JobFolder
from workbench.store.connection import run
from workbench.workspace import Workspace

KILLS = 20 if DRILL else 5
ROWS = 60 * KILLS
OWNER = """
import sys, time
from pathlib import Path
from workbench.workspace import Workspace
Workspace(Path(sys.argv[1])).open()
print("open", flush=True)
time.sleep(600)
"""


@pytest.mark.drill
def test_worker_killed_again_and_again(workspace):
    random = Random(1)
    job_id = workspace.jobs.submit(generating(delay_s=0.03, batch=4, count=ROWS))
    folder = JobFolder(workspace.root / "jobs" / job_id)
    for kill in range(KILLS):
        pid, known = wait_for(lambda: worker_of(workspace.root, job_id)), len(acknowledged(folder))
        if kill % 4:  # else it dies while it starts
            wait_for(lambda known=known: len(acknowledged(folder)) > known)
        time.sleep(0.1 * random.random())
        os.kill(pid, signal.SIGKILL)
        state = workspace.wait(job_id, timeout_s=10).state
        assert state == "interrupted" or (kill % 4 == 0 and state == "failed")  # failed: killed before it began
        workspace.jobs.resume(job_id)
    assert 2 * KILLS < len(acknowledged(folder)) < ROWS  # the kills came in the middle of the work
    assert workspace.wait(job_id, timeout_s=60).state == "finished"
    assert_complete(workspace, job_id, ROWS)


@pytest.mark.drill
def test_owner_killed_again_and_again(tmp_path, stand_in):
    root, random = tmp_path / "ws", Random(2)
    with Workspace(root) as workspace:
        job_id = workspace.jobs.submit(generating(delay_s=0.05, batch=4, count=200 * KILLS))
        pid = wait_for(lambda: worker_of(root, job_id))
    folder = JobFolder(root / "jobs" / job_id)
    in_the_middle = 0
    for _ in range(KILLS):
        owner = subprocess.Popen([sys.executable, "-c", OWNER, str(root)], stdout=subprocess.PIPE, env=stand_in)
        try:
            assert owner.stdout is not None and owner.stdout.readline() == b"open\n"
            time.sleep(0.3 * random.random())
        finally:
            in_the_middle += folder.status().state == "running"
            owner.kill()
            owner.communicate()
    assert in_the_middle >= KILLS // 4  # a busy machine opens more slowly than the worker writes
    with Workspace(root) as workspace:
        if in_the_middle == KILLS:
            assert worker_of(root, job_id) in (pid, None)  # one worker lived through all of it
        assert workspace.wait(job_id, timeout_s=60).state == "finished"
        assert_complete(workspace, job_id, 200 * KILLS)


def assert_complete(workspace: Workspace, job_id: str, count: int) -> None:
    with workspace.store.database.read() as cursor:
        stored = [name for (name,) in run(cursor, "SELECT triplet_id FROM triplets")]
    assert len(stored) == len(set(stored)) == count
    assert acknowledged(JobFolder(workspace.root / "jobs" / job_id)) <= set(stored)
    view = workspace.jobs.get(job_id)
    assert (view.done, view.total, view.details) == (count, count, {})


def acknowledged(folder: JobFolder) -> set[str]:
    path = folder.out / "acknowledged"
    return set(path.read_text().split()) if path.exists() else set()
