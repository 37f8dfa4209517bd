"""What every test may use: the measuring data when it lies beside the project, and a workspace of its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import warm

PROJECT = Path(__file__).resolve().parent.parent
DRILL = os.environ.get("DRILL") == "1"
"""Whether tests that are marked as drills run at full length (`make drill`) or a shorter version of themselves."""

os.environ.setdefault("MULTICSR_ENGINE", "llama.cpp")  # loaded sooner than the trial ends; tests name the other
os.environ.setdefault("OMP_NUM_THREADS", "1")  # each worker of the tests has a core
os.environ.setdefault("NUMBA_OPT", "1")  # UMAP is compiled anew in every process and draws few points


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of STS files and premises beside the project, or a skip where there is none."""
    folder = PROJECT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the measuring data in ../shared/data")
    return folder


@pytest.fixture(autouse=True)
def own_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point the default workspace into the test's folder, so that no test touches the user's."""
    folder = tmp_path / "workspace"
    monkeypatch.setenv("MULTICSR_WORKSPACE", str(folder))
    return folder


@pytest.fixture(scope="session", autouse=True)
def warm_start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Programs of the tests start by fork, see tests/warm.py."""
    if not DRILL:
        warm.enable(tmp_path_factory.mktemp("warm"))
    yield
    warm.end()


@pytest.fixture
def cold_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs of this test start as they do for people."""
    monkeypatch.setattr(warm, "_folder", None)
    for name in (warm.ADDRESS, warm.READ):
        monkeypatch.delenv(name, raising=False)


Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def workbench(command_environment: dict[str, str]) -> Command:
    """Run `python -m workbench ...` in a process of its own and return it finished, its output as text."""

    def run(*arguments: object, **changes: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "workbench", *map(str, arguments)]
        return warm.run(command, env=command_environment | changes)

    return run


@pytest.fixture
def command_environment(own_workspace: Path) -> dict[str, str]:
    """Environment for a child process that runs the command line as a user would."""
    return {**os.environ, "MULTICSR_WORKSPACE": str(own_workspace)}
