"""Journals: JSON lines, appended and fsynced per batch, read back as whole lines by byte position.

Also what everything that writes them needs: ids that sort by time, the clock, and a lock on a file.
"""

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Any

from pipeline.durable import full_disk_message, is_full_disk, sync_folder
from pipeline.records import InputError, StorageError

Row = dict[str, Any]
Rows = list[Row]
_TAIL_BYTES = 16 * 1024
_BLOCK_BYTES = 64 * 1024
_RETRY_S = 0.02


class Journal:
    """The single writer of one journal. When `append` returns, its rows are on the disk."""

    def __init__(self, path: Path) -> None:
        is_new = not path.exists()
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        if is_new:
            sync_folder(path.parent)
        self._truncate_torn_tail()

    def append(self, rows: Sequence[Row]) -> None:
        """Append these rows as one batch; on a full disk the file keeps its old length and StorageError is raised."""
        if not rows:
            return
        data = b"".join(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n" for row in rows)
        start = os.fstat(self._descriptor).st_size
        try:
            _write_all(self._descriptor, data)
            os.fsync(self._descriptor)
        except OSError as error:
            os.ftruncate(self._descriptor, start)
            if is_full_disk(error):
                raise StorageError(full_disk_message(self.path.parent, "free space and resume")) from error
            raise

    def close(self) -> None:
        """Release the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _truncate_torn_tail(self) -> None:
        """Cut what a killed writer left after the last line end: it was never acknowledged."""
        size = os.fstat(self._descriptor).st_size
        whole = whole_size(self._descriptor, size)
        if whole != size:
            os.ftruncate(self._descriptor, whole)
            os.fsync(self._descriptor)


def append_rows(path: Path, rows: Sequence[Row]) -> None:
    """Append these rows as one batch to a journal that is open for no longer than that."""
    with closing(Journal(path)) as journal:
        journal.append(rows)


def whole_size(descriptor: int, size: int) -> int:
    """Return the position after the last line end within the first `size` bytes."""
    end = size
    while end > 0:
        start = max(0, end - _BLOCK_BYTES)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def whole_bytes(path: Path) -> int:
    """Return the position after the last line end of a journal."""
    with path.open("rb") as file:
        return whole_size(file.fileno(), os.fstat(file.fileno()).st_size)


def read_whole_lines(path: Path, position: int, limit_bytes: int = 8 << 20) -> bytes:
    """Return whole lines from this byte position, about `limit_bytes` of them and at least one if there is one."""
    with path.open("rb") as file:
        file.seek(position)
        chunk = file.read(limit_bytes)
        end = chunk.rfind(b"\n")
        if end < 0 and len(chunk) == limit_bytes:
            chunk += file.readline()
            end = len(chunk) - 1 if chunk.endswith(b"\n") else -1
    return chunk[: end + 1]


def tail_digest(path: Path, position: int) -> str:
    """Hash the bytes just before this position: equal only while the journal is the one read so far."""
    start = max(0, position - _TAIL_BYTES)
    with path.open("rb") as file:
        file.seek(start)
        return blake2b(file.read(position - start), digest_size=8).hexdigest()


def parse_lines(chunk: bytes) -> tuple[list[Row], int]:
    """Return the rows of these lines and the number of lines that are damaged or name no table."""
    rows: list[Row] = []
    damaged = 0
    for line in chunk.split(b"\n")[:-1]:
        try:
            row = json.loads(line)
        except ValueError:
            damaged += 1
            continue
        if isinstance(row, dict) and isinstance(row.get("table"), str):
            rows.append(row)
        else:
            damaged += 1
    return rows, damaged


def damaged_lines(path: Path) -> list[int]:
    """Return the numbers, from 1, of the whole lines that are no JSON or name no table."""
    with path.open("rb") as file:
        return [number for number, line in enumerate(file, 1) if parse_lines(line)[1]]


def read_rows(path: Path) -> Iterable[Row]:
    """Yield every whole row of a journal in order, a chunk in memory at a time."""
    position = 0
    while path.exists() and (chunk := read_whole_lines(path, position)):
        yield from parse_lines(chunk)[0]
        position += len(chunk)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:  # a nearly full disk takes a part first and reports the error on the next call
        view = view[os.write(descriptor, view) :]


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_latest_ms = 0
_giving = Lock()


def new_id(kind: str) -> str:
    """Return an id that sorts by order of making: date, time to the millisecond, kind, four random digits.

    Where the clock stands still or was set back, the id's time goes on by a millisecond from the one before.
    """
    global _latest_ms
    with _giving:
        _latest_ms = max((datetime.now(UTC) - _EPOCH) // timedelta(milliseconds=1), _latest_ms + 1)
        moment = _EPOCH + timedelta(milliseconds=_latest_ms)
    return f"{moment:%Y%m%d-%H%M%S}-{moment.microsecond // 1000:03d}-{kind}-{secrets.token_hex(2)}"


def continue_after(ids: Iterable[str]) -> None:
    """Let the ids given from now on come after these, which another process may have given by another clock."""
    global _latest_ms
    for known in ids:
        try:
            moment = datetime.strptime(f"{known[:19]}000+0000", "%Y%m%d-%H%M%S-%f%z")
        except ValueError:
            continue  # no id of ours
        with _giving:
            _latest_ms = max(_latest_ms, (moment - _EPOCH) // timedelta(milliseconds=1))


def now() -> str:
    """Return the time in UTC as ISO 8601 text with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class FileLock:
    """An exclusive lock on a file; the file itself stays."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1

    def acquire(self, wait_s: float = 0.0) -> bool:
        """Take the lock, waiting at most this long; return False while another process holds it."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(descriptor)
                    return False
                time.sleep(_RETRY_S)
            else:
                self._descriptor = descriptor
                return True

    def take_or_explain(self) -> None:
        """Take the lock of a workspace and leave our process id in it; a workspace in use is an InputError."""
        if not self.acquire():
            raise InputError(
                f"The workspace {self.path.parent} is in use by process {self._holder()}; "
                "work through that server or stop it first."
            )
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)

    def require_in_place(self) -> None:
        """Raise StorageError where the file that is held was deleted or moved: what is written beside it is lost.

        Nothing is checked while the lock is not held.
        """
        if self._descriptor < 0:
            return
        try:
            is_there = os.path.samestat(os.fstat(self._descriptor), self.path.stat())
        except OSError:
            is_there = False
        if not is_there:
            raise StorageError(
                f"The workspace {self.path.parent} was deleted or moved while it is open: put it back, or stop this "
                "server."
            )

    def _holder(self) -> str:
        return self.path.read_text().strip() or "(unknown)"

    def release(self) -> None:
        """Release the lock."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
