"""A job as its handler sees it: settings, input, journal, progress, and requests to stop."""

import json
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic

from pipeline.records import Stopped
from workbench.jobs.folder import JobFolder, S, State, Stop
from workbench.journal import Journal, Row, now, read_rows

if TYPE_CHECKING:
    import pandas as pd


_REPORT_EVERY_S = 0.2
_RESERVE_BYTES = 64 * 1024
_INPUT_ROWS = 2_000


class JobContext(Generic[S]):
    """One run of a job inside its worker, which holds the job's lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = JobFolder(folder)
        record = self.folder.record()
        self.job_id = record.job_id
        self.kind = record.kind
        self.spec: S = record.spec  # type: ignore[assignment]
        self.out = self.folder.out
        self.stop_seen: Stop | None = None
        self._status = self.folder.status()
        self._asked_to_end = False
        self._first: tuple[float, int] | None = None
        self._reported_at = 0.0
        self._reserve = folder / "reserve"
        self._journal: Journal | None = None

    @property
    def vectors(self) -> Path:
        """Folder of the workspace with the cache of vectors, shared by all jobs."""
        return self.folder.path.parent.parent / "vectors"

    def begin(self) -> None:
        """Open the journal, cutting a torn tail, and mark the job as running."""
        self._reserve.write_bytes(b"\0" * _RESERVE_BYTES)  # freed when the disk is full, to write the last status
        self._journal = Journal(self.folder.journal)
        signal.signal(signal.SIGTERM, self._on_terminate)
        started = self._status.started_at or now()
        self._status = replace(
            self._status, state="running", started_at=started, finished_at=None, message="", rate=None, eta_s=None
        )
        self.folder.write_status(self._status)

    def input(self) -> "pd.DataFrame":
        """Read the table that came with the job."""
        import pandas as pd

        return pd.read_parquet(self.folder.input)

    def input_rows(self) -> int:
        """Return the number of rows of the table that came with the job."""
        import pyarrow.parquet as pq

        return int(pq.read_metadata(self.folder.input).num_rows)

    def input_tuples(self, *columns: str) -> Iterator[tuple[Any, ...]]:
        """Yield these columns of each row of the input, a few thousand rows in memory at a time."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.folder.input, pre_buffer=False) as file:  # else it reads all row groups ahead
            for batch in file.iter_batches(_INPUT_ROWS, columns=list(columns)):
                yield from zip(*(batch[name].to_pylist() for name in columns), strict=True)

    def written(self, table: str, key: str) -> Iterator[str]:
        """Yield the keys of this table's rows that the journal already holds."""
        return (str(row[key]) for row in read_rows(self.folder.journal) if row["table"] == table and key in row)

    def done(self, table: str, key: str) -> set[str]:
        """Return the same as a set."""
        return set(self.written(table, key))

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows, each with its "table"; when this returns they are on the disk."""
        if self._journal is None:
            raise RuntimeError("write() was called before begin()")
        self._journal.append(rows)

    def progress(self, done: int, total: int, message: str = "", **details: Any) -> None:
        """Report how far the job is; rate and time left are measured from the first report of this run."""
        moment = monotonic()
        if self._first is None:
            self._first = (moment, done)
        elapsed_s, gained = moment - self._first[0], done - self._first[1]
        rate = gained / elapsed_s if elapsed_s > 0 and gained > 0 else None
        self._status = replace(
            self._status,
            done=done,
            total=total,
            rate=rate,
            eta_s=(total - done) / rate if rate else None,
            message=message,
            details=self._status.details | _plain(details),
        )
        # The figures above are kept in any case: a job that fails between two writes ends with the newest.
        if moment - self._reported_at < _REPORT_EVERY_S and 0 < done < total:
            return
        self._reported_at = moment
        self.folder.write_status(self._status, sync=False)

    def note(self, **details: Any) -> None:
        """Keep these details for the next report."""
        self._status = replace(self._status, details=self._status.details | _plain(details))

    def restart_clock(self) -> None:
        """Measure rate and time left from the next report on; the work before was of another kind."""
        self._first = None

    def stop_requested(self) -> Stop | None:
        """Return how the job was asked to stop, if it was; the handler then writes what it has and returns."""
        self.stop_seen = self.stop_seen or self.folder.control() or ("pause" if self._asked_to_end else None)
        return self.stop_seen

    def is_to_stop(self) -> bool:
        """Whether the job was asked to stop."""
        return self.stop_requested() is not None

    def stop_if_asked(self) -> None:
        """Raise Stopped, which ends the handler, if the job was asked to stop."""
        if self.stop_requested():
            raise Stopped

    def end(self, state: State, message: str = "") -> None:
        """Write the last status of this run; the reserve makes room for it on a full disk."""
        self._reserve.unlink(missing_ok=True)
        self._status = replace(
            self._status,
            state=state,
            message=message or (self._status.message if state == "finished" else ""),
            eta_s=None,
            finished_at=now(),
        )
        self.folder.write_status(self._status)
        if self._journal is not None:
            self._journal.close()

    def _on_terminate(self, *_: object) -> None:
        self._asked_to_end = True


def _plain(details: dict[str, Any]) -> dict[str, Any]:
    """Turn numbers of NumPy or torch into plain ones that JSON can hold."""
    return json.loads(
        json.dumps(details, default=lambda value: value.item() if hasattr(value, "item") else str(value))
    )


def download_progress(context: JobContext) -> Callable[[str, int, int], None]:
    """Return a callback for downloads: it reports progress in MB and raises Stopped when the job should stop."""

    def report(name: str, done: int, total: int) -> None:
        context.stop_if_asked()
        where = name.partition("@")[0]
        context.progress(done // 1_000_000, max(1, total // 1_000_000), message=f"Fetching {where}, MB")

    return report
