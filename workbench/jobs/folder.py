"""The folder of one job: the only thing its worker and the owner of the workspace share.

spec.json never changes; input.parquet (optional) neither; journal.jsonl grows; status.json is replaced as a
whole; control holds what people ask for; lock is held by the worker for its whole life; log takes what it
prints; out/ what it makes.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from pipeline.durable import whole_folder, write_json, write_text
from pipeline.records import InputError
from workbench.jobs.kinds import JobSpec, kind_named, kind_of
from workbench.jobs.spec_values import from_plain_values, plain_values
from workbench.journal import FileLock

if TYPE_CHECKING:
    import pandas as pd


_ROWS_A_GROUP = 10_000
"""Rows of an input that a worker has to hold at a time."""
State = Literal["queued", "running", "paused", "cancelled", "failed", "finished", "interrupted"]
Stop = Literal["pause", "finish", "cancel"]
ENDED: frozenset[State] = frozenset({"cancelled", "failed", "finished"})
USABLE: frozenset[State] = frozenset({"queued", "running", "finished"})
"""States of a job whose result is there or on its way: it is not started a second time."""
RESUMABLE: frozenset[State] = frozenset({"paused", "failed", "interrupted"})


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One job: its id, title, time of making, and what it is asked to do. Written once."""

    job_id: str
    title: str
    created_at: str
    spec: JobSpec

    @property
    def kind(self) -> str:
        """Name of its kind."""
        return kind_of(self.spec).name

    def to_json(self) -> dict[str, Any]:
        """Return the content of spec.json."""
        named = {"job_id": self.job_id, "kind": self.kind, "title": self.title, "created_at": self.created_at}
        return named | {"settings": plain_values(self.spec)}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "JobRecord":
        """Build it from the content of spec.json, of an earlier version too. InputError for an unknown kind."""
        kind = kind_named(stored["kind"])
        spec = from_plain_values(kind.spec, kind.spec.upgraded(stored["settings"]))
        return cls(stored["job_id"], stored["title"], stored["created_at"], spec)


@dataclass(frozen=True, slots=True)
class Status:
    """How far a job says it is. Written by the worker while it holds the lock, by the owner otherwise."""

    state: State = "queued"
    done: int = 0
    total: int = 0
    rate: float | None = None
    eta_s: float | None = None
    message: str = ""
    queued_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


class JobFolder:
    """Paths and small files of one job."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal = path / "journal.jsonl"
        self.input = path / "input.parquet"
        self.log = path / "log"
        self.out = path / "out"
        self._status = path / "status.json"
        self._control = path / "control"
        self._lock = path / "lock"

    def create(self, record: JobRecord, status: Status, table: "pd.DataFrame | None" = None) -> None:
        """Make the folder appear complete: a job half written is never seen."""
        with whole_folder(self.path) as draft:
            (draft / "out").mkdir()
            if table is not None:
                table.to_parquet(draft / self.input.name, index=False, row_group_size=_ROWS_A_GROUP)
            write_json(draft / "spec.json", record.to_json(), indent=1, sync=False)
            write_json(draft / "status.json", asdict(status), indent=1, sync=False)

    def record(self) -> JobRecord:
        """Read what the job is. InputError when spec.json cannot be read or is of a kind unknown here."""
        try:
            return JobRecord.from_json(json.loads((self.path / "spec.json").read_bytes()))
        except InputError:
            raise
        except OSError as error:
            raise InputError(f"{self.path} is no job that can be read ({error.strerror or error}).") from error
        except (ValueError, TypeError, KeyError, AttributeError, StopIteration) as error:
            raise InputError(f"{self.path / 'spec.json'} is damaged ({type(error).__name__}: {error}).") from error

    def status(self) -> Status:
        """Read the status."""
        return Status(**json.loads(self._status.read_bytes()))

    def status_version(self) -> tuple[int, int]:
        """Return what changes whenever the status is replaced, for one stat."""
        try:
            stat = self._status.stat()
        except FileNotFoundError:
            return 0, 0
        return stat.st_mtime_ns, stat.st_ino

    def write_status(self, status: Status, *, sync: bool = True) -> None:
        """Replace the status as a whole."""
        write_json(self._status, asdict(status), indent=1, sync=sync)

    def control(self) -> Stop | None:
        """Return what people ask of the running worker."""
        try:
            word = self._control.read_text().strip()
        except FileNotFoundError:
            return None
        return word if word in ("pause", "finish", "cancel") else None  # type: ignore[return-value]

    def ask(self, stop: Stop | None) -> None:
        """Ask the worker to pause, to finish with what it has, or to cancel; None takes the request back."""
        write_text(self._control, stop or "")

    @contextmanager
    def held(self, wait_s: float = 0.0) -> Iterator[bool]:
        """Hold the job's lock inside the block; gives False when a live worker has it.

        The kernel frees the lock when its holder dies, however it dies, so no process id is ever guessed at.
        """
        lock = FileLock(self._lock)
        taken = lock.acquire(wait_s)
        try:
            yield taken
        finally:
            lock.release()

    def is_alive(self) -> bool:
        """Whether a worker holds the lock."""
        with self.held() as free:
            return not free


def read_jobs(
    jobs: Path, known: Mapping[str, JobRecord] | None = None
) -> tuple[dict[str, JobRecord], dict[str, str]]:
    """Return the jobs of a folder by id, and a sentence for each entry that cannot be read as one; the rest goes on.

    Records never change, so those that are `known` are not read again.
    """
    records: dict[str, JobRecord] = {}
    set_aside: dict[str, str] = {}
    for path in sorted(jobs.iterdir()):
        if path.name.startswith("."):
            continue
        try:
            records[path.name] = (known or {}).get(path.name) or JobFolder(path).record()
        except InputError as error:
            set_aside[path.name] = str(error)
    return records, set_aside


S = TypeVar("S", bound=JobSpec, covariant=True)


@dataclass(frozen=True, slots=True)
class JobView(Generic[S]):
    """One job as shown."""

    job_id: str
    kind: str
    title: str
    state: State
    done: int
    total: int
    rate: float | None
    eta_s: float | None
    message: str
    created_at: str
    started_at: str | None
    finished_at: str | None
    details: dict[str, Any]
    spec: S
    queued_at: str | None = None
    silent_s: float | None = None
    """Seconds since a running job last reported."""


def view_of(record: JobRecord, status: Status) -> JobView[JobSpec]:
    """Join what was asked and how far it is."""
    return JobView(
        job_id=record.job_id,
        kind=record.kind,
        title=record.title,
        state=status.state,
        done=status.done,
        total=status.total,
        rate=status.rate,
        eta_s=status.eta_s,
        message=status.message,
        created_at=record.created_at,
        started_at=status.started_at,
        finished_at=status.finished_at,
        details=status.details,
        spec=record.spec,
        queued_at=status.queued_at,
    )


def row_of(view: JobView[JobSpec]) -> dict[str, Any]:
    """Return the columns of the table jobs for this job."""
    names = (
        "job_id",
        "kind",
        "title",
        "state",
        "done",
        "total",
        "message",
        "created_at",
        "started_at",
        "finished_at",
    )
    spec = json.dumps(plain_values(view.spec), sort_keys=True)
    return {name: getattr(view, name) for name in names} | {"spec": spec}


def true_status(folder: JobFolder) -> Status:
    """Return the status; `running` without a live worker is `interrupted`.

    The status is read again after the lock was found free: a worker that ended in between has written its
    last word before it let go.
    """
    status = stated(folder)
    if status.state != "running" or folder.is_alive():
        return status
    status = stated(folder)
    if status.state != "running":
        return status
    message = "The worker was stopped from outside; what it had saved is kept, resume goes on from there."
    return replace(status, state="interrupted", rate=None, eta_s=None, message=message)


def stated(folder: JobFolder) -> Status:
    """Return what the status file says; one lost in a power failure counts as a run cut short."""
    try:
        return folder.status()
    except (OSError, ValueError, TypeError):
        return Status(state="running")
