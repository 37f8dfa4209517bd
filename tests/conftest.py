"""What every test may use: the measuring data when it lies beside the project, and a workspace of its own."""

import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent


os.environ.setdefault("MULTICSR_ENGINE", "llama.cpp")  # loaded sooner than the trial ends; tests name the other


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


@pytest.fixture
def command_environment(own_workspace: Path) -> dict[str, str]:
    """Environment for a child process that runs the command line as a user would."""
    return {**os.environ, "MULTICSR_WORKSPACE": str(own_workspace), "OMP_NUM_THREADS": "2"}
