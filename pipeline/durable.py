"""Atomic, crash-safe writing of files and folders, and a clear message for a full disk."""

import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

_FULL_CODES = (errno.ENOSPC, errno.EDQUOT)
_FULL_WORDS = ("no space left on device", "os error 28", "disk quota exceeded")
_SHOWN_CHARS = 200
_FULL_BELOW_BYTES = 64 * 1024

DRAFTS = ".*.unfinished"
"""Glob pattern of the drafts that a killed process may leave beside a target."""


@contextmanager
def whole_path(path: Path, *, sync: bool = True, mode: int = 0o666) -> Iterator[Path]:
    """Yield the path of an empty draft, which replaces `path` when the block ends without an error.

    A reader sees the old file or the new one, never a part, and two processes never share a draft. With sync, the
    bytes and the folder entry are on the disk when the block ends. The user's umask applies to `mode`.
    Raises OSError; after an error the old file is unchanged and the draft is gone.
    """
    draft = _draft(path)
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    try:
        yield draft
        move_file(draft, path, sync=sync)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def whole_file(path: Path, *, sync: bool = True, mode: int = 0o666) -> Iterator[IO[bytes]]:
    """Yield a binary file that becomes `path` when the block ends without an error; see `whole_path`."""
    with whole_path(path, sync=sync, mode=mode) as draft, draft.open("wb") as stream:
        yield stream
        stream.flush()


def write_bytes(path: Path, data: bytes, *, sync: bool = True, mode: int = 0o666) -> None:
    """Replace the file with these bytes atomically; see `whole_path`."""
    with whole_file(path, sync=sync, mode=mode) as stream:
        stream.write(data)


def write_text(path: Path, text: str) -> None:
    """Replace the file with this text in UTF-8 atomically. Lone surrogates become question marks."""
    write_bytes(path, text.encode("utf-8", "replace"))


def write_json(path: Path, record: Any, *, indent: int | None = None, sync: bool = True, mode: int = 0o666) -> None:
    """Replace the file with this record as JSON in UTF-8 atomically."""
    text = json.dumps(record, indent=indent, ensure_ascii=False)
    write_bytes(path, text.encode("utf-8", "replace"), sync=sync, mode=mode)


def write_array(path: Path, array: "np.ndarray") -> None:
    """Replace the .npy file with this array atomically."""
    with whole_file(path) as stream:
        np.save(stream, array, allow_pickle=False)


def write_table(path: Path, frame: "pd.DataFrame") -> None:
    """Replace the Parquet file with this table, without its index, atomically."""
    with whole_path(path) as draft:
        frame.to_parquet(draft, index=False)


@contextmanager
def whole_folder(folder: Path, *, over: bool = False) -> Iterator[Path]:
    """Yield an empty draft folder, which becomes `folder` when the block ends without an error, synced to disk.

    With `over` it replaces an existing folder; without, a folder that is not empty is an OSError.
    """
    draft = _draft(folder)
    draft.mkdir(parents=True)
    try:
        yield draft
        move_folder(draft, folder, over=over)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def move_file(draft: Path, path: Path, *, sync: bool = True) -> None:
    """Sync a finished draft to the disk and rename it to `path`, replacing an existing file."""
    if sync:
        sync_file(draft)
    draft.replace(path)
    if sync:
        sync_folder(path.parent)


def move_folder(draft: Path, folder: Path, *, over: bool = False) -> None:
    """Sync a finished draft and its contents to the disk and rename it to `folder`; see `whole_folder`."""
    for inside, _, names in os.walk(draft):
        for name in names:
            sync_file(Path(inside) / name)
        sync_folder(Path(inside))
    if over and folder.exists():
        old = _draft(folder)
        folder.rename(old)
        draft.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    else:
        draft.rename(folder)
    sync_folder(folder.parent)


def sync_file(path: Path) -> None:
    """Sync a finished file to the disk. Never use it on the open database: closing the file would drop its lock."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Sync the folder's entries to the disk: a created or renamed file then survives a crash."""
    sync_file(folder)


def is_full_disk(error: BaseException | None) -> bool:
    """Whether this error, or one that caused it, means that no space is left.

    Libraries in C++ and Rust keep only the text of the system's error, hence the comparison of words.
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
    """Return one sentence that names the full disk and the remedy."""
    return f"The disk that holds {folder} is full: nothing saved so far is lost; {remedy}."


def _draft(path: Path) -> Path:
    # Hidden, beside its target (a rename must not cross file systems), and at most 255 bytes long.
    return path.with_name(f".{path.name[:40]}.{secrets.token_hex(6)}.unfinished")


def os_error_sentence(error: OSError) -> str:
    """Return one sentence that names the file or folder of a system error, and the reason."""
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    if is_full_disk(error):
        return full_disk_message(Path(names[-1]).parent if names else Path.cwd(), "free some space and try again")
    why = (error.strerror or str(error) or type(error).__name__).rstrip(".")
    if not names:
        return f"The system refused this: {why}."
    where = names[-1] if len(names[-1]) <= _SHOWN_CHARS else f"{names[-1][:_SHOWN_CHARS]}..."
    return f"{where} cannot be used: {why[:1].lower()}{why[1:]}; name another file or folder, or change that one."
