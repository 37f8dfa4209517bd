"""How jobs show on Home: the controls that make sense in each state, and what a press does."""

import contextlib
import os
import time

import pytest
from streamlit.testing.v1 import AppTest

from tests.pages.conftest import Draw
from tests.pages.filled import finished_job
from workbench.jobs.folder import JobFolder, Status
from workbench.workspace import Workspace

JOB = "20260101-000000-000-generate-ffff"


def left(workspace: Workspace, state: str, message: str = "") -> JobFolder:
    """A job that ended in this state, or runs no more although its status says so."""
    folder = finished_job(workspace, JOB, "generate", [], total=10)
    folder.write_status(Status(state, 4, 10, None, None, message))  # type: ignore[arg-type]
    return folder


def controls(app: AppTest) -> set[str]:
    return {button.label for button in app.button if button.key and button.key.endswith(JOB)}


@pytest.mark.parametrize(
    ("state", "offered"),
    [
        ("paused", {"Resume", "Cancel"}),
        ("running", {"Resume", "Cancel"}),  # no worker holds the lock: interrupted
        ("failed", {"Resume"}),
        ("cancelled", set()),
        ("finished", set()),
    ],
)
def test_controls_by_state(draw: Draw, workspace: Workspace, state: str, offered: set[str]) -> None:
    left(workspace, state)
    app = draw("home")
    assert [error.message for error in app.exception] == []
    assert controls(app) == offered


def test_a_failure_is_told_in_its_own_words(draw: Draw, workspace: Workspace) -> None:
    left(workspace, "failed", "The disk is full: free space and resume.")
    assert [error.value.replace("\\", "") for error in draw("home").error] == [
        "The disk is full: free space and resume."
    ]


def test_cancel_reaches_the_job(draw: Draw, workspace: Workspace) -> None:
    left(workspace, "paused")
    app = draw("home")
    app.button(key=f"home_Cancel_{JOB}").click().run()
    assert workspace.jobs.get(JOB).state == "cancelled"


def test_a_queued_job_shows_in_the_sidebar_of_every_page(draw: Draw, workspace: Workspace) -> None:
    left(workspace, "paused")
    folder = JobFolder(workspace.root / "jobs" / JOB)
    with folder.held() as is_free:  # as a live worker would
        assert is_free
        folder.write_status(Status("running", 4, 10, 2.0, 3.0, "Generating"))
        for page in ("train", "evaluate"):
            shown = [bar.value for bar in draw(page).sidebar.get("progress")]
            assert len(shown) == 1


def test_a_worker_that_says_nothing_any_more_shows_for_how_long_and_no_old_rate(
    draw: Draw, workspace: Workspace
) -> None:
    left(workspace, "paused")
    folder = JobFolder(workspace.root / "jobs" / JOB)
    with folder.held() as is_free:
        assert is_free
        folder.write_status(Status("running", 4, 10, 2.0, 3.0, "Generating"))
        moment = time.time() - 185
        os.utime(folder.path / "status.json", (moment, moment))
        [bar] = draw("home").sidebar.get("progress")
        assert "no report for 3 min" in bar.proto.text and "2.0/s" not in bar.proto.text


@pytest.mark.parametrize(
    ("held", "kind", "words"),
    [
        (True, "generate", "Loading the model"),
        (True, "fetch_premises", "Connecting"),
        (False, "generate", "not started yet"),  # interrupted
    ],
)
def test_a_job_without_a_first_report_shows_no_zero_of_zero(
    draw: Draw, workspace: Workspace, held: bool, kind: str, words: str
) -> None:
    folder = finished_job(workspace, JOB, kind, [], total=0)
    with contextlib.ExitStack() as worker:
        if held:
            assert worker.enter_context(folder.held())
        folder.write_status(Status("running", 0, 0, None, None, ""))
        [bar] = draw("home").main.get("progress")
        assert bar.proto.text == words


def test_what_is_no_job_is_named_on_home(draw: Draw, workspace: Workspace) -> None:
    left(workspace, "paused")
    (workspace.root / "jobs" / "Thumbs.db").write_bytes(b"x")
    app = draw("home")
    assert controls(app) == {"Resume", "Cancel"}
    assert any("Thumbs" in warning.value for warning in app.warning)
