"""The folder of one job: all that its worker and the owner of the workspace share.

spec.json and the optional input.parquet never change; journal.jsonl grows; status.json is replaced as a whole;
control holds what people ask for; a worker holds lock for its whole life; log takes what it prints, out/ its files.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, is_dataclass, replace
from enum import Enum
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Literal,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from pipeline.durable import whole_folder, write_json, write_text
from pipeline.records import InputError
from workbench.jobs.kinds import JobSpec, kind_named, kind_of
from workbench.journal import FileLock

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    Input: TypeAlias = pd.DataFrame | pa.RecordBatchReader

_ROWS_A_GROUP = 10_000
"""Rows of an input that a worker holds in memory at a time."""
State = Literal["queued", "running", "paused", "cancelled", "failed", "finished", "interrupted"]
Stop = Literal["pause", "finish", "cancel"]
ENDED: frozenset[State] = frozenset({"cancelled", "failed", "finished"})
USABLE: frozenset[State] = frozenset({"queued", "running", "finished"})
"""States of a job whose result exists or is coming: it is not started a second time."""
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
        return named | {"settings": asdict(self.spec)}

    def view(self, status: "Status") -> "JobView[JobSpec]":
        """Return the job as shown, with how far it is."""
        values: dict[str, Any] = {entry.name: getattr(status, entry.name) for entry in fields(status)}
        values |= {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return JobView(kind=self.kind, **values)

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

    def create(self, record: JobRecord, status: Status, table: "Input | None" = None) -> None:
        """Make the folder appear complete: a job half written is never seen."""
        with whole_folder(self.path) as draft:
            (draft / "out").mkdir()
            if table is not None:
                _write_input(draft / self.input.name, table)
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

    def stated(self) -> Status:
        """Read the status; one that was lost in a power failure counts as running, and so as interrupted."""
        try:
            return self.status()
        except (OSError, ValueError, TypeError):
            return Status(state="running")

    def true_status(self) -> Status:
        """Read the status; `running` without a live worker is `interrupted`.

        The status is read again once the lock was found free: a worker that ended in between wrote its last status
        before it released the lock.
        """
        status = self.stated()
        if status.state != "running" or self.is_alive() or (status := self.stated()).state != "running":
            return status
        message = "The worker was stopped from outside; what it saved is kept, and resuming continues from there."
        return replace(status, state="interrupted", rate=None, eta_s=None, message=message)

    def status_version(self) -> tuple[int, int]:
        """Return a value that changes whenever the status is replaced; costs one stat."""
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


def _write_input(path: Path, table: "Input") -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not isinstance(table, pa.RecordBatchReader):
        table.to_parquet(path, index=False, row_group_size=_ROWS_A_GROUP)
        return
    with pq.ParquetWriter(path, table.schema) as writer:
        for batch in table:
            writer.write_batch(batch, row_group_size=_ROWS_A_GROUP)


def read_jobs(
    jobs: Path, known: Mapping[str, JobRecord] | None = None
) -> tuple[dict[str, JobRecord], dict[str, str]]:
    """Return the jobs of a folder by id, and for each entry that cannot be read as one a sentence that says why.

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
    """One job as shown: what was asked and how far it is."""

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

    def row(self) -> dict[str, Any]:
        """Return the columns of the table jobs."""
        names = ("job_id", "kind", "title", "state", "done", "total", "message")
        times = ("created_at", "started_at", "finished_at")
        values = {name: getattr(self, name) for name in (*names, *times)}
        return values | {"spec": json.dumps(asdict(self.spec), sort_keys=True)}


T = TypeVar("T")


def from_plain_values(kind: type[T], stored: Mapping[str, Any]) -> T:
    """Build a dataclass of this type from stored values.

    Fields that this version does not know are left out. One that is missing takes its default, and the empty value of
    its type where it has none. Values are not checked against today's ranges: they were good when they were written.
    """
    hints = _hints(kind)  # type: ignore[arg-type]
    known = [field for field in fields(kind) if field.init]  # type: ignore[arg-type]
    values = {
        field.name: _value(hints[field.name], stored[field.name]) if field.name in stored else _missing(field, hints)
        for field in known
    }
    try:
        return kind(**values)
    except InputError:
        built = object.__new__(kind)
        for name, value in values.items():
            object.__setattr__(built, name, value)
        return built


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _missing(field: "Field[Any]", hints: Mapping[str, Any]) -> Any:
    if field.default is not MISSING:
        return field.default
    if field.default_factory is not MISSING:
        return field.default_factory()
    return _empty(hints[field.name])


def _empty(hint: Any) -> Any:
    if get_origin(hint) in (Union, UnionType) and NoneType in get_args(hint):
        return None
    kind = get_origin(hint) or hint
    if kind is Literal:
        return get_args(hint)[0]
    if is_dataclass(kind):
        return from_plain_values(kind, {})  # type: ignore[arg-type]
    return next(iter(kind)) if issubclass(kind, Enum) else kind()


def _value(hint: Any, stored: Any) -> Any:
    """Return a stored value as its type has it; one of another type is a ValueError."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if stored is None:
            return None
        return _value(next(part for part in parts if part is not NoneType), stored)
    if origin is tuple:
        if not isinstance(stored, list | tuple):
            raise ValueError(f"{stored!r} is no list")
        of = [parts[0]] * len(stored) if parts[1:] == (...,) else parts
        return tuple(_value(part, item) for part, item in zip(of, stored, strict=True))
    if origin is dict:
        return {name: _value(parts[1], item) for name, item in dict(stored).items()}
    if is_dataclass(hint):
        if not isinstance(stored, Mapping):
            raise ValueError(f"{stored!r} is no object")
        return from_plain_values(hint, stored)  # type: ignore[arg-type]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(stored)
    return stored
