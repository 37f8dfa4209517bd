"""Locks between processes that the kernel frees when their holder dies, however it dies."""

import fcntl
import os
import time
from pathlib import Path

from pipeline.errors import InputError

_RETRY_S = 0.02


class FileLock:
    """An exclusive lock on a file; the file itself stays."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1

    def acquire(self, wait_s: float = 0.0) -> bool:
        """Take the lock, waiting this long at most; False when somebody else keeps it."""
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

    def _holder(self) -> str:
        return self.path.read_text().strip() or "(unknown)"

    def release(self) -> None:
        """Let the lock go."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
