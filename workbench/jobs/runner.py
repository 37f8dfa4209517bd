"""Submitting, queueing, starting and stopping jobs. All state lies in the job folders."""

import builtins
import os
import subprocess
import time
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event, RLock
from typing import TYPE_CHECKING, Any

from pipeline.durable import full_disk_message, is_full_disk
from pipeline.records import InputError, StorageError
from workbench.jobs import places
from workbench.jobs.folder import ENDED, RESUMABLE, JobFolder, JobRecord, JobView, S, State, Status, Stop, read_jobs
from workbench.jobs.ingest import Ingester
from workbench.jobs.kinds import JobSpec, kind_of
from workbench.journal import new_id, now

if TYPE_CHECKING:
    from workbench.jobs.folder import Input


_STEP = timedelta(milliseconds=1)
_PROJECT = Path(__file__).resolve().parents[2]
_BUSY = 75
"""Exit status of a worker whose job another worker has."""
JobViews = list[JobView[JobSpec]]


def next_first(statuses: Mapping[str, Status]) -> list[str]:
    """Return the waiting ones among these jobs, the next one first."""
    waiting = [job_id for job_id, status in statuses.items() if status.state == "queued"]
    return sorted(waiting, key=lambda job_id: (statuses[job_id].queued_at or "", job_id))


def reordered(statuses: Mapping[str, Status], job_id: str, places: int) -> dict[str, str]:
    """Return the queueing times that move a waiting job so many places up (negative) or down.

    The times there are go to the new order, the earliest to the first; equal ones become a millisecond apart.
    """
    order = next_first(statuses)
    times = _apart([statuses[job].queued_at or "" for job in order])
    place = order.index(job_id)
    order.insert(min(max(place + places, 0), len(order) - 1), order.pop(place))
    return dict(zip(order, times, strict=True))


def _apart(times: list[str]) -> list[str]:
    apart: list[datetime] = []
    for written in times:
        moment = datetime.fromisoformat(written)
        apart.append(max(moment, apart[-1] + _STEP) if apart else moment)
    return [moment.isoformat(timespec="milliseconds") for moment in apart]


def lanes_of(spec: JobSpec, *, gpus: int | None = None) -> tuple[str, ...]:
    """Return the lanes that a job takes while it runs, the one it waits in first; gpus: of this machine."""
    return places.lanes(spec.on, spec.own_lane or kind_of(spec).lane, gpus=gpus)


def lane_of(spec: JobSpec) -> str:
    """Return the lane that a job waits in."""
    return lanes_of(spec)[0]


@dataclass(frozen=True, slots=True)
class _Child:
    process: subprocess.Popen[bytes]
    queued_at: str | None


class JobRunner:
    """Starts workers and reports what they do. Workers outlive it: a new runner finds them by their locks."""

    def __init__(self, jobs: Path, ingester: Ingester) -> None:
        self._jobs = jobs
        self._ingester = ingester
        self._children: dict[str, _Child] = {}
        self._lock = RLock()
        self._records: dict[str, JobRecord] = {}
        self._set_aside: dict[str, str] = {}
        self._ended: dict[str, tuple[tuple[int, int], Status]] = {}
        self.wake = Event()

    def submit(self, spec: JobSpec, input: "Input | None" = None, title: str = "") -> str:
        """Write the job's folder and queue it; return the job id. input: a table, or batches of one."""
        kind = kind_of(spec)
        job_id, created_at = new_id(kind.name), now()
        record = JobRecord(job_id, title or kind.title, created_at, spec)
        try:
            self._folder(job_id).create(record, Status(queued_at=created_at), input)
        except OSError as error:
            if is_full_disk(error):
                raise StorageError(full_disk_message(self._jobs, "free space and start the job again")) from error
            raise
        self.wake.set()
        return job_id

    def list(self) -> JobViews:
        """Return every job, newest first."""
        return [self._view(job_id) for job_id in sorted(self._all_records(), reverse=True)]

    def of(self, kind: type[S], where: Callable[[S], bool] | None = None) -> "builtins.list[JobView[S]]":
        """Return the jobs of a kind, named by its class of specs, whose spec is as `where` wants it; newest first."""
        specs = {job_id: record.spec for job_id, record in self._all_records().items()}
        wanted = [job_id for job_id, spec in specs.items() if type(spec) is kind and (where is None or where(spec))]
        return [self._view(job_id) for job_id in sorted(wanted, reverse=True)]  # type: ignore[misc]

    def latest(
        self, kind: type[S], where: Callable[[S], bool] | None = None, *, states: Container[str] | None = None
    ) -> "JobView[S] | None":
        """Return the newest of these jobs, in one of these states if they are given; None when there is none."""
        return next((job for job in self.of(kind, where) if states is None or job.state in states), None)

    def output(self, job_id: str, name: str) -> Path:
        """Return the path of a file that a job makes, whether it is there or not."""
        return self._folder(job_id).out / name

    def set_aside(self) -> dict[str, str]:
        """Return what cannot be read as a job in the folder of jobs: name -> why, as a sentence."""
        self._all_records()
        return dict(self._set_aside)

    def get(self, job_id: str) -> JobView[JobSpec]:
        """Return one job; an unknown id is an InputError."""
        self._existing(job_id)
        return self._view(job_id)

    def pause(self, job_id: str) -> None:
        """Stop the job at its next safe point, keeping its place; a queued job leaves the queue."""
        self._stop(job_id, "pause")

    def cancel(self, job_id: str) -> None:
        """Stop the job for good; what it has saved stays."""
        self._stop(job_id, "cancel")

    def resume(self, job_id: str, *, then: Stop | None = None) -> None:
        """Queue a paused, failed or interrupted job again; it continues where its journal ends."""
        folder = self._existing(job_id)
        with self._lock, folder.held(_wait_s(folder)) as is_free:
            status = folder.stated()
            state = "interrupted" if status.state == "running" and is_free else status.state
            if state not in RESUMABLE or not is_free:
                raise InputError(f"The job {job_id} is {state}; only a paused, failed or interrupted one can resume.")
            folder.ask(then)
            folder.write_status(
                replace(status, state="queued", queued_at=now(), finished_at=None, message="", rate=None, eta_s=None)
            )
        self._ingester.retry(job_id)
        self.wake.set()

    def finish(self, job_id: str) -> None:
        """End a job with what it has, such as an encoder: a running one at its next step, a stopped one once resumed.

        A job that has done nothing yet, or has ended, is an InputError.
        """
        folder = self._existing(job_id)
        status = self._status(job_id)
        if status.state == "running":
            folder.ask("finish")
        elif status.state in ("paused", "interrupted") and status.done:
            self.resume(job_id, then="finish")
        else:
            raise InputError(f"The job {job_id} is {status.state}; it has nothing to keep.")

    def move(self, job_id: str, places: int) -> None:
        """Move a waiting job so many places up (negative) or down the queue of its lane."""
        self._existing(job_id)
        with self._lock:
            waiting = self._waiting(self._lane(job_id))
            if job_id not in waiting:
                raise InputError(f"The job {job_id} is no longer waiting; only waiting jobs can be moved.")
            for job, queued_at in reordered(waiting, job_id, places).items():
                folder = self._folder(job)
                with folder.held() as is_free:
                    if is_free:
                        folder.write_status(replace(waiting[job], queued_at=queued_at))

    def waiting(self, spec: JobSpec) -> builtins.list[str]:
        """Return the jobs that wait in the lane of such a job, the next one first."""
        return next_first(self._waiting(lane_of(spec)))

    def log(self, job_id: str, limit_bytes: int = 20_000) -> str:
        """Return the end of what the worker printed."""
        path = self._existing(job_id).log
        if not path.exists():
            return ""
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - limit_bytes))
            return file.read().decode("utf-8", "replace")

    def tick(self) -> None:
        """Collect ended children and start the next queued job of every free lane.

        A job that takes several lanes waits until all of them are free.
        """
        with self._lock:
            self._reap()
            statuses = {job_id: self._status(job_id) for job_id in self._all_records()}
            running = [job_id for job_id, status in statuses.items() if status.state == "running"]
            busy = {lane for job_id in (*self._children, *running) for lane in self._lanes(job_id)}
            queued = {self._lane(job_id) for job_id, status in statuses.items() if status.state == "queued"}
            for lane in sorted(queued - busy, reverse=True):  # models, which may take others with it, before cuda:1
                for job_id in next_first(self._waiting(lane))[:1]:
                    if busy.isdisjoint(taken := self._lanes(job_id)):
                        busy.update(taken)
                        self._start(job_id)

    def _stop(self, job_id: str, stop: Stop) -> None:
        folder = self._existing(job_id)
        with self._lock, folder.held(_wait_s(folder)) as is_free:
            status = folder.stated()
            if not is_free:
                folder.ask(stop)
                return
            state = "interrupted" if status.state == "running" else status.state
            if state in ENDED - ({"failed"} if stop == "cancel" else set()):
                raise InputError(f"The job {job_id} is {state}; there is nothing to stop.")
            if stop == "pause" and state != "queued":
                raise InputError(f"The job {job_id} is {state}; only a queued or running one can be paused.")
            ended: State = "paused" if stop == "pause" else "cancelled"
            folder.write_status(replace(status, state=ended, rate=None, eta_s=None, finished_at=now()))

    def _start(self, job_id: str) -> None:
        folder = self._folder(job_id)
        spec = self._record(job_id).spec
        environment = kind_of(spec).environment | os.environ | {"PYTHONUNBUFFERED": "1"} | places.environment(spec.on)
        with folder.log.open("ab") as log:  # a pipe would block or kill the worker once its reader is gone
            process = subprocess.Popen(
                places.command(spec.on, folder.path),
                cwd=_PROJECT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the server's terminal must not reach the worker
            )
        self._children[job_id] = _Child(process, folder.stated().queued_at)

    def _reap(self) -> None:
        for job_id, child in list(self._children.items()):
            code = child.process.poll()
            if code is None:
                continue
            del self._children[job_id]
            folder = self._folder(job_id)
            with folder.held() as is_free:
                status = folder.stated()
                # Resumed meanwhile? Then it waits with a new time, and this end is not the new run's.
                is_same_run = status.state == "queued" and status.queued_at == child.queued_at
                if is_free and is_same_run and code not in (0, _BUSY):
                    message = f"The worker ended before it began (exit status {code}); its log has the details."
                    folder.write_status(replace(status, state="failed", message=message, finished_at=now()))

    def _view(self, job_id: str) -> JobView[JobSpec]:
        view = self._record(job_id).view(self._status(job_id))
        reading, error = self._ingester.reading(job_id), self._ingester.error(job_id)
        notes: dict[str, Any] = {}
        if error:
            notes["ingest_error"] = error
        if reading.rejected or reading.unknown:
            notes["rows_not_stored"] = {"unusable": reading.rejected} | reading.unknown
        if view.state == "finished" and not error and self._ingester.is_behind(job_id):
            view = replace(view, state="running", finished_at=None, message="Storing the last rows.")
        if view.state == "running" and (reported_ns := self._folder(job_id).status_version()[0]):
            view = replace(view, silent_s=max(0.0, time.time() - reported_ns / 1e9))
        return replace(view, details=view.details | notes) if notes else view

    def _status(self, job_id: str) -> Status:
        """Read the status, from memory for ended jobs whose file has not changed."""
        folder = self._folder(job_id)
        version = folder.status_version()
        known = self._ended.get(job_id)
        if known and known[0] == version:
            return known[1]
        status = folder.true_status()
        if status.state in ENDED:
            self._ended[job_id] = (version, status)
        return status

    def _record(self, job_id: str) -> JobRecord:
        return self._records.get(job_id) or self._folder(job_id).record()

    def _existing(self, job_id: str) -> JobFolder:
        if job_id not in self._all_records():  # also keeps a path from being smuggled in as an id
            raise InputError(f"There is no job {job_id}; it may belong to another workspace.")
        return self._folder(job_id)

    def _lane(self, job_id: str) -> str:
        return lane_of(self._record(job_id).spec)

    def _lanes(self, job_id: str) -> tuple[str, ...]:
        return lanes_of(self._record(job_id).spec)

    def _waiting(self, lane: str) -> dict[str, Status]:
        """Statuses of the queued jobs of a lane that no worker has been started for."""
        free = set(self._all_records()) - set(self._children)
        found = {job: self._status(job) for job in free if self._lane(job) == lane}
        return {job: status for job, status in found.items() if status.state == "queued"}

    def _folder(self, job_id: str) -> JobFolder:
        return JobFolder(self._jobs / job_id)

    def _all_records(self) -> dict[str, JobRecord]:
        self._records, self._set_aside = read_jobs(self._jobs, self._records)
        return self._records


def _wait_s(folder: JobFolder) -> float:
    """Allow a worker that has written its last status a moment to release the lock."""
    return 3.0 if folder.stated().state in RESUMABLE | ENDED else 0.0
