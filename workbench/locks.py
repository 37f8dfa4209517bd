"""Locks between processes that the kernel frees when their holder dies, however it dies."""

import fcntl
import os
import time
from pathlib import Path

_RETRY_S = 0.02


class FileLock:
    """An exclusive lock on a file; the file itself stays and holds a note of its holder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1

    def acquire(self, wait_s: float = 0.0) -> bool:
        """Take the lock, waiting this long at most; False when somebody else keeps it."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
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

    def write_note(self, text: str) -> None:
        """Leave a note for whoever finds the lock taken."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text.encode(), 0)

    def read_note(self) -> str:
        """Read the note of the present or last holder."""
        return self.path.read_text().strip() if self.path.exists() else ""

    def release(self) -> None:
        """Let the lock go."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
