"""Stores, workspaces with stand-in workers, and small tables."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench.store import Store
from workbench.workspace import Workspace

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
