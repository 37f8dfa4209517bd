"""Stores, workspaces with stand-in workers, and small tables."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import warm
from workbench.store import Store
from workbench.workspace import RemoteWorkspace, Workspace

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store" / "state.duckdb") as opened:
        yield opened


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Let workers load the quick handlers of stand_in_handlers/; gives the environment for child processes."""
    paths = os.pathsep.join([str(HERE), str(PROJECT)])
    monkeypatch.setenv("PYTHONPATH", paths)
    monkeypatch.setenv("MULTICSR_TEST_HANDLERS", "stand_in_handlers")
    return dict(os.environ)


@pytest.fixture
def workspace(tmp_path: Path, stand_in: dict[str, str]) -> Iterator[Workspace]:
    with Workspace(tmp_path / "ws") as opened:
        yield opened


@pytest.fixture
def served(tmp_path, stand_in):
    """The real server on a free port; gives the workspace folder, the port and the process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    root = tmp_path / "served"
    log = (tmp_path / "server.log").open("wb")
    command = [sys.executable, "-m", "tests.workbench.serving", str(root), str(port)]
    process = warm.start(command, env=stand_in, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=tmp_path)
    deadline = time.monotonic() + 60
    while RemoteWorkspace.find(root) is None:
        assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "server.log").read_text()
        time.sleep(0.1)
    yield root, port, process
    if process.poll() is None:
        process.kill()
    process.wait()
    log.close()
