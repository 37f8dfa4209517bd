"""The folder of one job: the only thing its worker and the owner of the workspace share.

spec.json never changes; input.parquet (optional) neither; journal.jsonl grows; status.json is replaced as a
whole; control holds what people ask for; lock is held by the worker for its whole life; log takes what it
prints; out/ what it makes.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipeline.durable import whole_folder, write_json, write_text
from workbench.locks import FileLock

if TYPE_CHECKING:
    import pandas as pd

_ROWS_A_GROUP = 10_000
"""Rows of an input that a worker has to hold at a time."""
State = Literal["queued", "running", "paused", "cancelled", "failed", "finished", "interrupted"]
Stop = Literal["pause", "finish", "cancel"]
LANES = {
    "generate": "models",
    "write_premises": "models",
    "judge": "models",
    "train": "models",
    "study": "models",
    "evaluate": "models",
    "behaviour": "models",
    "margins": "models",
    "fetch": "downloads",
    "fetch_premises": "downloads",
    "hygiene": "models",
    "calibrate": "models",
    "project": "maps",
    "search": "searches",  # seconds long, and somebody waits for it
    "explain": "searches",
    "check": "checks",  # an LLM is tried while a long run goes on
    "preview": "searches",
    "tokens": "searches",
    "grid": "previews",  # looked at while a long run goes on
    "lens": "previews",
    "ask": "previews",
}
"""Kind of job -> lane; one job runs per lane, because models share the machine's cores and memory."""


def lane_of(kind: str, settings: dict[str, Any]) -> str:
    """Return the lane of a job: one per GPU beyond the first, which the other model jobs may use too."""
    device = str((settings.get("config") or {}).get("device", ""))
    if kind == "train" and device.startswith("cuda:") and device != "cuda:0":
        return device
    return LANES[kind]


ENDED: frozenset[State] = frozenset({"cancelled", "failed", "finished"})
RESUMABLE: frozenset[State] = frozenset({"paused", "failed", "interrupted"})


@dataclass(frozen=True, slots=True)
class Spec:
    """What a job is asked to do. Written once."""

    job_id: str
    kind: str
    title: str
    created_at: str
    settings: dict[str, Any]


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

    def create(self, spec: Spec, status: Status, table: "pd.DataFrame | None" = None) -> None:
        """Make the folder appear complete: a job half written is never seen."""
        with whole_folder(self.path) as draft:
            (draft / "out").mkdir()
            if table is not None:
                table.to_parquet(draft / self.input.name, index=False, row_group_size=_ROWS_A_GROUP)
            for name, record in (("spec.json", spec), ("status.json", status)):
                write_json(draft / name, asdict(record), indent=1, sync=False)

    def spec(self) -> Spec:
        """Read the spec."""
        return Spec(**json.loads((self.path / "spec.json").read_bytes()))

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
