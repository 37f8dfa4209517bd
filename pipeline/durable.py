"""Files and folders that appear whole or not at all and survive a crash; and one clear sentence for a full disk."""

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
"""Glob pattern of what a killed process may leave beside a target."""


@contextmanager
def whole_path(path: Path, *, sync: bool = True, mode: int = 0o666) -> Iterator[Path]:
    """Give the path of an empty draft; when the block ends without an error, the draft takes the place of `path`.

    A reader sees the old file or the new one, never a part, and two processes never share a draft. With sync the
    bytes and the folder entry reach the disk before the block is left. The user's umask applies to `mode`.
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
    """Give a binary file to write to that becomes `path` when the block ends without an error; see `whole_path`."""
    with whole_path(path, sync=sync, mode=mode) as draft, draft.open("wb") as stream:
        yield stream
        stream.flush()


def write_bytes(path: Path, data: bytes, *, sync: bool = True, mode: int = 0o666) -> None:
    """Replace the file by these bytes, whole or not at all; see `whole_path`."""
    with whole_file(path, sync=sync, mode=mode) as stream:
        stream.write(data)


def write_text(path: Path, text: str) -> None:
    """Replace the file by this text in UTF-8, whole or not at all. Lone surrogates become question marks."""
    write_bytes(path, text.encode("utf-8", "replace"))


def write_json(path: Path, record: Any, *, indent: int | None = None, sync: bool = True, mode: int = 0o666) -> None:
    """Replace the file by this record as JSON in UTF-8, whole or not at all."""
    text = json.dumps(record, indent=indent, ensure_ascii=False)
    write_bytes(path, text.encode("utf-8", "replace"), sync=sync, mode=mode)


def write_array(path: Path, array: "np.ndarray") -> None:
    """Replace the .npy file by this array, whole or not at all."""
    with whole_file(path) as stream:
        np.save(stream, array, allow_pickle=False)


def write_table(path: Path, frame: "pd.DataFrame") -> None:
    """Replace the Parquet file by this table without its index, whole or not at all."""
    with whole_path(path) as draft:
        frame.to_parquet(draft, index=False)


@contextmanager
def whole_folder(folder: Path, *, over: bool = False) -> Iterator[Path]:
    """Give an empty draft folder; when the block ends without an error it becomes `folder`, every file on the disk.

    With `over` it takes the place of a folder that is there; without, a folder that holds something is an OSError.
    """
    draft = _draft(folder)
    draft.mkdir(parents=True)
    try:
        yield draft
        move_folder(draft, folder, over=over)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def move_file(draft: Path, path: Path, *, sync: bool = True) -> None:
    """Force a finished draft to the disk and give it its name, in place of a file that has it."""
    if sync:
        sync_file(draft)
    draft.replace(path)
    if sync:
        sync_folder(path.parent)


def move_folder(draft: Path, folder: Path, *, over: bool = False) -> None:
    """Force a finished draft and all it holds to the disk, and give it its name; see `whole_folder`."""
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


def _draft(path: Path) -> Path:
    # Hidden, beside its target (a rename must not cross disks), and short enough for any name of up to 255 bytes.
    return path.with_name(f".{path.name[:40]}.{secrets.token_hex(6)}.unfinished")


def os_error_sentence(error: OSError) -> str:
    """Say in one sentence which file or folder the system refused, and why."""
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    if is_full_disk(error):
        return full_disk_message(Path(names[-1]).parent if names else Path.cwd(), "free some space and try again")
    why = (error.strerror or str(error) or type(error).__name__).rstrip(".")
    if not names:
        return f"The system refused this: {why}."
    where = names[-1] if len(names[-1]) <= _SHOWN_CHARS else f"{names[-1][:_SHOWN_CHARS]}..."
    return f"{where} cannot be used: {why[:1].lower()}{why[1:]}; name another file or folder, or change that one."
