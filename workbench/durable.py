"""Files that survive a crash: atomic replacement, fsync, and one clear sentence for a full disk."""

import errno
import os
import shutil
import tempfile
from pathlib import Path

_FULL_CODES = (errno.ENOSPC, errno.EDQUOT)
_FULL_WORDS = ("no space left on device", "os error 28", "disk quota exceeded")
_FULL_BELOW_BYTES = 64 * 1024


def write_atomically(path: Path, data: bytes, *, sync: bool = True, mode: int = 0o644) -> None:
    """Replace the file by these bytes: a reader sees the old file or the new one, never a part.

    With sync the bytes and the folder entry reach the disk before the call returns.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    if sync:
        sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Force a finished file to the disk. Never for the open database: closing it here would drop its lock."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Force the folder's entries to the disk, so that a created or renamed file is found after a crash."""
    sync_file(folder)


def is_full_disk(error: BaseException | None) -> bool:
    """Whether this error, or one that led to it, means that no space is left.

    Libraries written in C++ and Rust keep only the text of the system's error, so words are compared too.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL_CODES:
            return True
        if any(words in str(error).lower() for words in _FULL_WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False


def is_disk_full(folder: Path) -> bool:
    """Whether the disk that holds this folder has practically no space left."""
    return shutil.disk_usage(folder).free < _FULL_BELOW_BYTES


def full_disk_message(folder: Path, remedy: str) -> str:
    """Say in one sentence which disk is full and what to do about it."""
    return f"The disk that holds {folder} is full: nothing saved so far is lost; {remedy}."
