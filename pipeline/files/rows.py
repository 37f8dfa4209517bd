"""Rows of txt, csv, tsv, jsonl, parquet and arrow files: each row is read or rejected with a reason, none is lost."""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pipeline.errors import InputError
from pipeline.files.delimited import delimited_header, delimited_records
from pipeline.files.parquet import arrow_columns, arrow_records, parquet_columns, parquet_records
from pipeline.files.source import Source, lines, require_text

TEXT_COLUMN = "text"
"""Name of the only column of a plain text file."""

EXCERPT_CHARS = 80
_JSON_SAMPLE_ROWS = 200


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the line it starts on (parquet: its place, from 1) and the requested cells."""

    line: int
    cells: dict[str, str]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that could not be used: where, why, and how it begins (control characters escaped)."""

    line: int
    reason: str
    excerpt: str

    @classmethod
    def of(cls, line: int, reason: str, content: object) -> "Rejected":
        """Reject a row, keeping only the beginning of its content."""
        return cls(line, reason, excerpt(content))


class RowError(ValueError):
    """Why one row cannot be read; caught inside this package and turned into a Rejected."""


def column_names(source: Source) -> list[str]:
    """Names of the columns a file offers; of jsonl the fields of its first 200 rows. Raises InputError."""
    kind = source.kind
    if kind == "parquet":
        return parquet_columns(source)
    if kind == "arrow":
        return arrow_columns(source)
    require_text(source)
    if kind == "txt":
        return [TEXT_COLUMN]
    if kind == "jsonl":
        return _json_fields(source)
    return delimited_header(source)


def read_rows(source: Source, columns: Sequence[str], *, numbers: Collection[str] = ()) -> Iterator[Row | Rejected]:
    """Yield every row of the file exactly once, in order, as a Row with these columns or as Rejected.

    Columns named in `numbers` may hold numbers of jsonl and parquet, which are given as text; elsewhere one is
    rejected as not text. Raises InputError where the file as a whole cannot be used (not text, empty, a column that
    is not there).
    """
    _require_columns(source, columns)
    for line, record in _records(source, columns, numbers):
        try:
            yield Row(line, _cells(record, columns, numbers))
        except RowError as error:
            yield Rejected.of(line, str(error), record)


def excerpt(record: object) -> str:
    """Return the beginning of a record as one printable line."""
    if isinstance(record, _Broken):
        record = record.content
    if isinstance(record, dict):
        record = " | ".join(str(value) for value in record.values())
    text = record.decode("utf-8", errors="replace") if isinstance(record, bytes) else str(record)
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text[:EXCERPT_CHARS])


@dataclass(frozen=True, slots=True)
class _Broken:
    """A record that could not even be split into cells."""

    reason: str
    content: bytes


def _records(
    source: Source, columns: Sequence[str], numbers: Collection[str] = ()
) -> Iterator[tuple[int, dict[str, Any] | _Broken]]:
    kind = source.kind
    if kind == "parquet":
        yield from parquet_records(source, columns, numbers=numbers)
    elif kind == "arrow":
        yield from arrow_records(source, columns, numbers=numbers)
    elif kind in ("csv", "tsv"):
        for start, cells, broken in delimited_records(source):
            yield start, _Broken(broken, b"|".join(cells.values())) if broken else cells
    else:
        for line in lines(source):
            if line.is_overlong:
                yield line.number, _Broken("line too long", line.data)
            else:
                yield line.number, {TEXT_COLUMN: line.data} if kind == "txt" else _json_record(line.data)


def _json_record(data: bytes) -> dict[str, Any] | _Broken:
    if not data.strip():
        return _Broken("empty", data)
    try:
        record = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError:
        return _Broken("not UTF-8", data)
    except (ValueError, RecursionError):  # RecursionError: brackets nested thousands deep
        return _Broken("malformed JSON", data)
    return record if isinstance(record, dict) else _Broken("not a JSON object", data)


def _json_fields(source: Source) -> list[str]:
    fields: dict[str, None] = {}
    for _, record in islice(_records(source, ()), _JSON_SAMPLE_ROWS):
        if isinstance(record, dict):
            fields.update(dict.fromkeys(record))
    return list(fields)


def _require_columns(source: Source, columns: Sequence[str]) -> None:
    offered = column_names(source)
    missing = [name for name in columns if name not in offered]
    if missing:
        has = ", ".join(excerpt(name) for name in offered[:30]) or "none"
        raise InputError(f"{source.name} has no column {', '.join(missing)}; choose among its columns: {has}.")


def _cells(record: dict[str, Any] | _Broken, columns: Sequence[str], numbers: Collection[str]) -> dict[str, str]:
    if isinstance(record, _Broken):
        raise RowError(record.reason)
    return {name: _text(_spelt(record.get(name)) if name in numbers else record.get(name)) for name in columns}


def _spelt(value: object) -> object:
    """Return a number as text; true and false, which Python counts among the numbers, stay what they are."""
    return repr(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _text(value: object) -> str:
    if value is None:
        raise RowError("missing field")
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise RowError("not UTF-8") from error
    if not isinstance(value, str):
        raise RowError("not text")
    if any("\ud800" <= c <= "\udfff" for c in value):  # JSON may spell half a surrogate pair
        raise RowError("not valid Unicode")
    return value
