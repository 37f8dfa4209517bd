"""Where rows come from: a file, here or in object storage, or bytes; its kind, its lines in bounded memory."""

import bz2
import codecs
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, BinaryIO, Literal, cast

import pyarrow as pa

from pipeline.records import InputError

Kind = Literal["txt", "csv", "tsv", "jsonl", "parquet", "arrow", "xlsx"]

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
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".xlsx": "xlsx",
}

COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
"""Endings that may follow that of a text format: premises.csv.gz is read like premises.csv."""
_SPREADSHEETS = (".xls", ".ods", ".numbers")
_PACKED_ITSELF = ("parquet", "arrow", "xlsx")

_ELSEWHERE = re.compile(r"(s3|gs|gcs|az|abfs|hdfs|memory|file):/+(.+)")
"""Storage that fsspec opens; not the web, where a path could name a machine that only this one reaches."""
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
    """A file (or bytes) and the name shown to people; the ending of the name decides how it is read."""

    content: Path | bytes
    name: str
    max_line_bytes: int = MAX_LINE_BYTES
    encoding: str = "utf-8"
    """Character encoding of a text format; see `make_source`."""

    @property
    def kind(self) -> Kind:
        """The file format by the ending of the name; InputError for an unknown ending."""
        path = PurePath(self.name)
        suffix = PurePath(path.stem if self.compression else path.name).suffix.lower()
        if suffix in _SPREADSHEETS:
            raise InputError(f"{self.name} is a spreadsheet; save its table as xlsx or csv (UTF-8) and import that.")
        if suffix not in KINDS:
            known = ", ".join(ending for ending in KINDS if ending)
            raise InputError(f"{self.name} is of a type that cannot be read ({suffix}); save it as one of {known}.")
        kind = KINDS[suffix]
        if self.compression and kind in _PACKED_ITSELF:
            raise InputError(f"{self.name} is a compressed {kind} file; unpack it and import what is in it.")
        return kind

    @property
    def compression(self) -> str:
        """One of COMPRESSED, or empty."""
        suffix = PurePath(self.name).suffix.lower()
        return suffix if suffix in COMPRESSED else ""

    def open(self) -> BinaryIO:
        """Open for reading bytes, decompressed; InputError if the file cannot be opened."""
        if isinstance(self.content, bytes):
            return _unpacked(io.BytesIO(self.content), self.compression)
        try:
            if there := elsewhere(self.content):
                system, path = there
                return _unpacked(cast(BinaryIO, system.open(path, "rb")), self.compression)
            if not (self.content.is_file() or self.content.is_dir()) and self.content.exists():
                raise InputError(f"{self.name} is a pipe or a device; write its rows to a file and import that.")
            return _unpacked(self.content.open("rb"), self.compression)
        except OSError as error:
            reason = error.strerror or str(error)
            raise InputError(
                f"{self.name} cannot be opened ({reason}); check the path and its permissions."
            ) from error


def elsewhere(path: Path | str) -> tuple[Any, str] | None:
    """Return fsspec's file system and the path in it for one of object storage, such as s3://bucket/file.parquet.

    None for a path of this machine. pathlib makes one slash of the two. Credentials are those that the package of the
    storage finds by itself. Raises InputError where that package is missing.
    """
    found = _ELSEWHERE.fullmatch(str(path))
    if found is None:
        return None
    from fsspec.core import url_to_fs

    try:
        return url_to_fs(f"{found[1]}://{'/' * (found[1] == 'file')}{found[2]}")  # type: ignore[no-any-return]
    except (ImportError, ValueError, OSError) as error:
        first = str(error).partition("\n")[0]
        raise InputError(f"{path} cannot be reached: {first}") from error


@dataclass(frozen=True, slots=True)
class Line:
    """One physical line without its line end; only the beginning of an overlong line is kept."""

    number: int
    data: bytes
    ended_by: bytes
    is_overlong: bool = False


def make_source(
    content: Path | str | bytes, name: str = "", max_line_bytes: int = MAX_LINE_BYTES, encoding: str = ""
) -> Source:
    """Wrap a path or bytes; bytes without a name are read as plain text.

    encoding: Python's name (such as cp1252) for a text format that is not UTF-8. Raises InputError for an unknown
    encoding, and for one in which a line feed is not the ASCII byte (UTF-16).
    """
    try:
        codec = codecs.lookup(encoding or "utf-8").name
        is_usable = "\n".encode(codec) == b"\n"
    except (LookupError, ValueError):
        is_usable = False
    if not is_usable:
        raise InputError(f"{encoding[:40]!r} is no encoding that rows can be read in; try cp1252, or save as UTF-8.")
    if isinstance(content, bytes):
        return Source(content, name or "pasted.txt", max_line_bytes, codec)
    return Source(Path(content), name or Path(content).name, max_line_bytes, codec)


def encoding_offer(source: Source) -> tuple[str, str] | None:
    """Return the encoding to try for a text that is not UTF-8, and the first such line decoded with it; else None.

    Programs in western Europe and America that do not write UTF-8 write Windows-1252.
    """
    if source.kind in _PACKED_ITSELF or source.encoding != "utf-8":
        return None
    for line in lines(source):
        try:
            line.data.decode("utf-8")
        except UnicodeDecodeError as error:
            if line.is_overlong and error.end >= len(line.data) - 4:
                continue  # cut in the middle of a character
            try:
                return "cp1252", line.data.decode("cp1252")
            except UnicodeDecodeError:
                return None
    return None


def require_text(source: Source) -> None:
    """Raise InputError for a file that is not UTF-8 text with lines, before any row is read.

    Single bad lines do not count here: they are rejected one by one later.
    """
    with closing(source.open()) as stream, _damage(source):
        head = stream.read(_HEAD_BYTES)
    if not head.removeprefix(_BOM):
        raise InputError(f"{source.name} is empty; choose a file with one row per line.")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{source.name} is UTF-16 text; save it as UTF-8 and import it again.")
    looks_like = next((what for magic, what in _MAGIC.items() if head.startswith(magic)), None)
    if looks_like is None and _is_binary(head, source.encoding):
        looks_like = "a binary file"
    if looks_like:
        raise InputError(f"{source.name} is {looks_like}, not text; choose a txt, csv, tsv or jsonl file in UTF-8.")
    if b"\r" in head and b"\n" not in head and len(head) < _HEAD_BYTES:
        raise InputError(f"{source.name} ends its lines with CR alone; save it with LF or CRLF line ends.")


def _is_binary(head: bytes, encoding: str) -> bool:
    """Whether more than 5 % are control bytes, or more than 30 % cannot be decoded."""
    controls = sum(head.count(byte) for byte in (*range(9), *range(14, 27), *range(28, 32), 127))
    replaced = head.decode(encoding, errors="replace").count("\ufffd")
    return controls > 0.05 * len(head) or replaced > 0.3 * len(head)


def lines(source: Source) -> Iterator[Line]:
    """Yield the physical lines, holding at most max_line_bytes of any one of them.

    Only LF and CRLF end a line; a BOM at the start of the file is dropped. Lines in another encoding come as UTF-8.
    """
    limit = source.max_line_bytes
    with closing(source.open()) as stream, _damage(source):
        number = 0
        while data := stream.readline(limit + 2):  # room for CRLF after the longest allowed line
            number += 1
            if number == 1 and data.startswith(_BOM):
                data = data.removeprefix(_BOM) + (b"" if data.endswith(b"\n") else stream.readline(len(_BOM)))
            end = b"\r\n" if data.endswith(b"\r\n") else b"\n" if data.endswith(b"\n") else b""
            body = data.removesuffix(end)
            if not end:
                _skip_to_line_end(stream)
            is_overlong = len(body) > limit
            body = body[:limit] if is_overlong else body
            yield Line(number, body if source.encoding == "utf-8" else _recoded(body, source), end, is_overlong)


def text_lines(path: Path, *, encoding: str = "utf-8-sig") -> Iterator[str]:
    """Yield the lines of a plain text file without their ends. LF and CRLF end a line. InputError if not UTF-8."""
    try:
        with path.open(encoding=encoding, newline="\n") as file:
            for line in file:
                yield line.removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text; save it as UTF-8.") from error


def _skip_to_line_end(stream: BinaryIO) -> None:
    while (piece := stream.readline(_HEAD_BYTES)) and not piece.endswith(b"\n"):
        pass


def _recoded(body: bytes, source: Source) -> bytes:
    try:
        return body.decode(source.encoding).encode()
    except UnicodeDecodeError:
        return body  # rejected later, like any line that cannot be decoded


def _unpacked(stream: BinaryIO, compression: str) -> BinaryIO:
    if compression == ".zst":
        return cast(BinaryIO, io.BufferedReader(pa.CompressedInputStream(stream, "zstd")))
    unpackers: dict[str, Callable[[BinaryIO], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    return unpackers[compression](stream) if compression else stream


@contextmanager
def _damage(source: Source) -> Iterator[None]:
    """Report a compressed file that cannot be decompressed as damaged."""
    try:
        yield
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        if not source.compression:
            raise
        raise InputError(
            f"{source.name} cannot be unpacked; it is damaged or no {source.compression} file."
        ) from error
