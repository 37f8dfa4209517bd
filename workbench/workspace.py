"""A workspace: one folder with its store and jobs, opened here or reached through its server, and its rebuilding."""

import atexit
import json
import logging
import os
import secrets
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

import platformdirs

from pipeline.durable import DRAFTS, move_file, write_bytes, write_json
from pipeline.records import InputError, StorageError
from workbench.jobs.folder import ENDED, JobFolder, JobView, read_jobs
from workbench.jobs.ingest import Ingester
from workbench.jobs.runner import JobRunner
from workbench.journal import FileLock, continue_after, damaged_lines, new_id, whole_bytes
from workbench.store.store import Store

_POLL_S = 0.3
_log = logging.getLogger(__name__)


class Workspace:
    """Owner of a workspace folder. One process at a time; workers are separate and outlive it."""

    store: Store
    jobs: JobRunner

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().resolve()
        self.lock = FileLock(self.root / "owner.lock")
        self._stop = Event()
        self._thread: Thread | None = None
        self._mirrored: dict[str, dict[str, Any]] = {}

    def open(self) -> "Workspace":
        """Open or create the folder and start its thread; a workspace in use is an InputError."""
        self.root.parent.mkdir(parents=True, exist_ok=True)
        self.root.mkdir(mode=0o700, exist_ok=True)  # for its user alone; who shares it opens it by hand
        self.lock.take_or_explain()
        try:
            self._remove_drafts()
            folders = ("jobs", "imports", "snapshots")
            continue_after(path.name for folder in folders for path in self.root.glob(f"{folder}/[0-9]*"))
            self.store = Store(self.root / "state.duckdb")
            folder = self.root / "jobs"
            folder.mkdir(exist_ok=True)
            self.ingester = Ingester(self.store, folder)
            self.jobs = JobRunner(folder, self.ingester)
        except BaseException:
            self.lock.release()
            raise
        self._stop.clear()
        self._thread = Thread(target=self._look_after, name="workspace", daemon=True)
        self._thread.start()
        return self

    def _remove_drafts(self) -> None:
        """Remove what a killed owner left; while we own the folder nobody is at work on it."""
        for pattern in (".backup-*.duckdb*", "state.rebuilt.duckdb*", DRAFTS, f"snapshots/{DRAFTS}"):
            for path in self.root.glob(pattern):
                path.unlink(missing_ok=True)
        for path in self.root.glob(f"jobs/{DRAFTS}"):  # jobs that were never queued
            shutil.rmtree(path, ignore_errors=True)

    def close(self) -> None:
        """Stop the thread and close the database; workers go on and are found again by the next owner."""
        if self._thread is None:
            return
        self._stop.set()
        self.jobs.wake.set()
        self._thread.join()
        self._thread = None
        self.store.close()
        self.lock.release()

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
        chosen = Path(platformdirs.user_data_dir("multicsr")) / "default"
    return Path(chosen).expanduser().resolve()


def require_workspace(root: Path) -> None:
    """Raise InputError unless this folder is a workspace, whatever of it may be damaged or lost."""
    if not root.is_dir():
        raise InputError(f"There is no workspace {root}: check the name; `serve` and imports create one.")
    if not any((root / name).exists() for name in ("state.duckdb", "owner.lock", "decisions.jsonl")):
        raise InputError(f"The folder {root} is no workspace: name an existing one with --workspace.")


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
        _current.lock.require_in_place()
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


_TOKEN_FILE, _OWNER_FILE = "owner.token", "owner.json"
_HEALTH_TIMEOUT_S = 5.0
_CALL_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Owner:
    """Where the server of a workspace listens, and the token it accepts."""

    pid: int
    address: str
    port: int
    token: str


def announce(root: Path, address: str, port: int) -> str:
    """Write where the server listens; return a fresh token that only this user can read."""
    token = secrets.token_urlsafe(32)
    write_bytes(root / _TOKEN_FILE, token.encode(), mode=0o600)
    record = {"pid": os.getpid(), "address": address, "port": port, "token_file": _TOKEN_FILE}
    write_json(root / _OWNER_FILE, record, mode=0o600)
    return token


def withdraw(root: Path) -> None:
    """Remove the announcement when the server ends."""
    for name in (_OWNER_FILE, _TOKEN_FILE):
        (root / name).unlink(missing_ok=True)


def _announced(root: Path) -> Owner | None:
    """Return what a server announced here; it may have died since."""
    try:
        record = json.loads((root / _OWNER_FILE).read_bytes())
        token = (root / record["token_file"]).read_text()
        return Owner(int(record["pid"]), str(record["address"]), int(record["port"]), token)
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None


class RemoteFailure(RuntimeError):
    """Seen by the person whose command failed inside the server, whose log has the details."""


class RemoteWorkspace:
    """A workspace reached through its server."""

    def __init__(self, found: Owner) -> None:
        host = f"[{found.address}]" if ":" in found.address else found.address
        self.address = f"http://{host}:{found.port}"
        self._token = found.token
        # A proxy from the environment must not see the token of a server on this machine.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    @classmethod
    def find(cls, root: Path) -> "RemoteWorkspace | None":
        """Return the live server of this workspace, or None."""
        if (found := _announced(root)) is None:
            return None
        remote = cls(found)
        try:
            answer = remote._send("/api/health", None, _HEALTH_TIMEOUT_S)
        except (OSError, ValueError):  # no server there, or another program
            return None
        return remote if answer.get("workspace") == str(root.expanduser().resolve()) else None

    def call(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """Run an action in the server; its InputError or StorageError is raised here."""
        body = json.dumps({"action": name, "arguments": arguments}).encode()
        try:
            return self._send("/api/call", body, _CALL_TIMEOUT_S)
        except urllib.error.HTTPError as error:
            raise _failure(error) from error
        except urllib.error.URLError as error:
            raise InputError(
                f"The server at {self.address} went away ({error.reason}); start it again and repeat the command."
            ) from error

    def _send(self, path: str, body: bytes | None, timeout_s: float) -> dict[str, Any]:
        request = urllib.request.Request(
            self.address + path,
            data=body,
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
        with self._opener.open(request, timeout=timeout_s) as response:
            return json.loads(response.read())


def _failure(error: urllib.error.HTTPError) -> Exception:
    try:
        sentence = json.loads(error.read())["error"]
    except (ValueError, KeyError, TypeError):
        sentence = f"The server answered {error.code} {error.reason}."
    if error.code == 507:
        return StorageError(sentence)
    return RemoteFailure(sentence) if error.code >= 500 else InputError(sentence)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild made."""

    rows: dict[str, int]  # by table
    left_out: list[str]  # a sentence for each file with something that could not be used


def rebuild(root: Path) -> Rebuilt:
    """Replace the database by a fresh one with the same rows; keep the old file under another name.

    A folder that is no workspace, and one in use, is an InputError.
    """
    root = root.expanduser().resolve()
    require_workspace(root)
    lock = FileLock(root / "owner.lock")
    lock.take_or_explain()
    try:
        draft = root / "state.rebuilt.duckdb"
        _remove_draft(draft)
        rebuilt = _fill_database(root, draft)
        _swap_database(root / "state.duckdb", draft)
    finally:
        lock.release()
    return rebuilt


def _fill_database(root: Path, draft: Path) -> Rebuilt:
    with Store(draft, root=root) as store:  # opening reads imports, decisions and snapshots
        jobs = root / "jobs"
        records, set_aside = read_jobs(jobs) if jobs.is_dir() else ({}, {})
        for job_id in sorted([*records, *set_aside]):  # rows are kept of a job, too, whose spec is damaged
            journal = JobFolder(jobs / job_id).journal
            if journal.exists():
                store.journals.ingest_all(f"jobs/{job_id}", journal)
        views = [record.view(JobFolder(jobs / job_id).true_status()) for job_id, record in records.items()]
        store.jobs.mirror([view.row() for view in views])
        left_out = [*set_aside.values(), *store.snapshots.set_aside().values()]
        journals = {"decisions": root / "decisions.jsonl"}
        journals |= {f"imports/{path.stem}": path for path in sorted((root / "imports").glob("*.jsonl"))}
        journals |= {f"jobs/{job_id}": JobFolder(jobs / job_id).journal for job_id in sorted([*records, *set_aside])}
        for source, path in journals.items():
            if path.exists() and (sentence := _left_out(path, store.journals.reading(source).rejected)):
                left_out.append(sentence)
        return Rebuilt(store.counts(), left_out)


def _left_out(path: Path, rejected: int) -> str:
    """Say which lines of a journal are damaged, and how many rows in whole lines were unusable; empty for none."""
    lines = damaged_lines(path)
    unusable, torn = rejected - len(lines), path.stat().st_size - whole_bytes(path)
    listed = ", ".join(map(str, lines[:10])) + (f" and {len(lines) - 10} more" if len(lines) > 10 else "")
    parts = [f"line {listed}"] * bool(lines)
    parts += [f"{unusable} rows that lack a value or hold one of another type"] * (unusable > 0)
    parts += [f"{torn} bytes after the last line end"] * bool(torn)
    return f"{path}: {'; '.join(parts)}." if parts else ""


def _swap_database(database: Path, draft: Path) -> None:
    """Put the new file in place of the old one, whose log moves away with it."""
    earlier = list(database.parent.glob("*-replaced-*.duckdb*"))
    kept = database.with_name(f"{new_id('replaced')}.duckdb")
    for suffix in (".wal", ""):  # the log first: a new file must never meet an old log
        old = Path(f"{database}{suffix}")
        if old.exists():
            old.replace(f"{kept}{suffix}")
    move_file(draft, database)
    for path in earlier:
        path.unlink()


def _remove_draft(draft: Path) -> None:
    for suffix in ("", ".wal"):
        Path(f"{draft}{suffix}").unlink(missing_ok=True)
