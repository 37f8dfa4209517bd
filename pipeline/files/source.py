"""Where rows come from: a file or bytes in memory, its kind, and its physical lines in bounded memory."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO, Literal

from pipeline.errors import InputError

Kind = Literal["txt", "csv", "tsv", "jsonl", "parquet", "arrow"]

MAX_LINE_BYTES = 131_072
"""Longest line (or csv record) read; the csv library's own limit for one cell."""

KINDS: dict[str, Kind] = {
    "": "txt",
    ".txt": "txt",
    ".text": "txt",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
}

_BOM = b"\xef\xbb\xbf"
_HEAD_BYTES = 65_536
_MAGIC = {
    b"PAR1": "a Parquet file",
    b"PK\x03\x04": "a ZIP archive or an office document",
    b"\x1f\x8b": "a gzip archive",
    b"%PDF-": "a PDF",
    b"GGUF": "a GGUF model",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"\x7fELF": "a program",
    b"SQLite format 3": "an SQLite database",
}


@dataclass(frozen=True, slots=True)
class Source:
    """A file (or bytes) with the name people know it by; the ending of the name decides how it is read."""

    content: Path | bytes
    name: str
    max_line_bytes: int = MAX_LINE_BYTES

    @property
    def kind(self) -> Kind:
        """The file format by the ending of the name; an unknown ending is an InputError."""
        suffix = PurePath(self.name).suffix.lower()
        if suffix not in KINDS:
            known = ", ".join(ending for ending in KINDS if ending)
            raise InputError(f"{self.name} is of a type that cannot be read ({suffix}); save it as one of {known}.")
        return KINDS[suffix]

    def open(self) -> BinaryIO:
        """Open for reading bytes; a file that cannot be opened is an InputError."""
        if isinstance(self.content, bytes):
            return io.BytesIO(self.content)
        try:
            return self.content.open("rb")
        except OSError as error:
            reason = error.strerror or str(error)
            raise InputError(
                f"{self.name} cannot be opened ({reason}); check the path and its permissions."
            ) from error


@dataclass(frozen=True, slots=True)
class Line:
    """One physical line without its end; of an overlong line only the beginning is kept."""

    number: int
    data: bytes
    ended_by: bytes
    is_overlong: bool = False


def make_source(content: Path | str | bytes, name: str = "", max_line_bytes: int = MAX_LINE_BYTES) -> Source:
    """Wrap a path or bytes; bytes without a name are read as plain text."""
    if isinstance(content, bytes):
        return Source(content, name or "pasted.txt", max_line_bytes)
    return Source(Path(content), name or Path(content).name, max_line_bytes)


def require_text(source: Source) -> None:
    """Refuse what is not a UTF-8 text with lines, in one sentence, before any row is read.

    Single bad lines are no reason: they are rejected one by one later. Raises InputError.
    """
    with source.open() as stream:
        head = stream.read(_HEAD_BYTES)
    if not head.removeprefix(_BOM):
        raise InputError(f"{source.name} is empty; choose a file with one row per line.")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{source.name} is UTF-16 text; save it as UTF-8 and import it again.")
    looks_like = next((what for magic, what in _MAGIC.items() if head.startswith(magic)), None)
    if looks_like is None and _is_binary(head):
        looks_like = "a binary file"
    if looks_like:
        raise InputError(f"{source.name} is {looks_like}, not text; choose a txt, csv, tsv or jsonl file in UTF-8.")
    if b"\r" in head and b"\n" not in head and len(head) < _HEAD_BYTES:
        raise InputError(f"{source.name} ends its lines with CR alone; save it with LF or CRLF line ends.")


def _is_binary(head: bytes) -> bool:
    """Whether more than 5 % are control bytes, or more than 30 % cannot be decoded as UTF-8."""
    controls = sum(head.count(byte) for byte in (*range(9), *range(14, 27), *range(28, 32), 127))
    replaced = head.decode("utf-8", errors="replace").count("\ufffd")
    return controls > 0.05 * len(head) or replaced > 0.3 * len(head)


def lines(source: Source) -> Iterator[Line]:
    """Yield the physical lines, holding at most max_line_bytes of any one of them.

    Only LF and CRLF end a line; a BOM at the start of the file is dropped.
    """
    limit = source.max_line_bytes
    with source.open() as stream:
        if stream.read(len(_BOM)) != _BOM:
            stream.seek(0)
        number = 0
        while data := stream.readline(limit + 2):  # room for CRLF after the longest allowed line
            number += 1
            end = b"\r\n" if data.endswith(b"\r\n") else b"\n" if data.endswith(b"\n") else b""
            body = data.removesuffix(end)
            if not end:
                _skip_to_line_end(stream)
            is_overlong = len(body) > limit
            yield Line(number, body[:limit] if is_overlong else body, end, is_overlong)


def _skip_to_line_end(stream: BinaryIO) -> None:
    while (piece := stream.readline(_HEAD_BYTES)) and not piece.endswith(b"\n"):
        pass
