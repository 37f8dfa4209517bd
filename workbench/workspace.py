"""A workspace: one folder, its store, its jobs, and the thread that keeps both up to date."""

import atexit
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

from workbench.jobs.folder import ENDED, JobView
from workbench.jobs.ingest import Ingester
from workbench.jobs.runner import JobRunner
from workbench.journal import FileLock
from workbench.store import Store

_POLL_S = 0.3
_log = logging.getLogger(__name__)


class Workspace:
    """Owner of a workspace folder. One process at a time; workers are separate and outlive it."""

    store: Store
    jobs: JobRunner

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().resolve()
        self._lock = FileLock(self.root / "owner.lock")
        self._stop = Event()
        self._thread: Thread | None = None
        self._mirrored: dict[str, dict[str, Any]] = {}

    def open(self) -> "Workspace":
        """Open or create the folder and start its thread; a workspace in use is an InputError."""
        self.root.mkdir(parents=True, exist_ok=True)
        self._lock.take_or_explain()
        try:
            self.store = Store(self.root / "state.duckdb")
            folder = self.root / "jobs"
            folder.mkdir(exist_ok=True)
            self.ingester = Ingester(self.store, folder)
            self.jobs = JobRunner(folder, self.ingester)
        except BaseException:
            self._lock.release()
            raise
        self._stop.clear()
        self._thread = Thread(target=self._look_after, name="workspace", daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop the thread and close the database; workers go on and are found again by the next owner."""
        if self._thread is None:
            return
        self._stop.set()
        self.jobs.wake.set()
        self._thread.join()
        self._thread = None
        self.store.close()
        self._lock.release()

    def wait(self, job_id: str, timeout_s: float | None = None) -> JobView:
        """Wait until the job has stopped and all its rows are stored; return its last view."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            view = self.jobs.get(job_id)
            settled = view.state in ENDED or view.state in ("paused", "interrupted")
            if settled and (self.ingester.error(job_id) or not self.ingester.is_behind(job_id)):
                self._mirror()
                return view
            if deadline is not None and time.monotonic() > deadline:
                return view
            time.sleep(0.05)

    def __enter__(self) -> "Workspace":
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _look_after(self) -> None:
        steps = (self.jobs.tick, self.ingester.tick, self._mirror)
        failing: set[str] = set()
        while not self._stop.is_set():
            for step in steps:
                _attempt(step, failing)
            self.jobs.wake.wait(_POLL_S)
            self.jobs.wake.clear()

    def _mirror(self) -> None:
        """Copy what changed in the job folders to the table that SQL joins with."""
        rows = {view.job_id: view.row() for view in self.jobs.list()}
        changed = [row for job_id, row in rows.items() if self._mirrored.get(job_id) != row]
        if changed:
            self.store.jobs.mirror(changed)
            self._mirrored = rows


def workspace_root(named: Path | None = None) -> Path:
    """Return the named folder, else the one in MULTICSR_WORKSPACE, else the default in the user's data folder."""
    chosen = named or os.environ.get("MULTICSR_WORKSPACE")
    if not chosen:
        import platformdirs

        chosen = Path(platformdirs.user_data_dir("multicsr")) / "default"
    return Path(chosen).expanduser().resolve()


_current: Workspace | None = None
_current_lock = Lock()


def current_workspace() -> Workspace:
    """Return this process's workspace, opened on first use; pages and the server share it."""
    global _current
    with _current_lock:
        root = workspace_root()
        if _current is not None and _current.root != root:  # the variable changed: tests do that
            _current.close()
            _current = None
        if _current is None:
            _current = Workspace(root).open()
            atexit.register(_current.close)
        return _current


def close_current_workspace() -> None:
    """Close this process's workspace, if it is open."""
    global _current
    with _current_lock:
        if _current is not None:
            _current.close()
            _current = None


def _attempt(step: Callable[[], object], failing: set[str]) -> None:
    """Run one step; an error is logged once and the step tried again, because the thread must go on."""
    name = step.__qualname__
    try:
        step()
        failing.discard(name)
    except Exception:
        if name not in failing:
            _log.exception("Looking after the workspace failed in %s; trying again.", name)
        failing.add(name)
