"""Records of csv and tsv files through the csv library, with recovery after a broken record.

A stray opening quote would make the library swallow the rest of the file into one cell. Here the lines of a
broken record but the first go back to be read again, so exactly the line that opened it is rejected.
Bytes are mapped one to one onto Latin-1 for the library and decoded per cell, so one bad byte costs one row.
"""

import csv
import json
import re
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pipeline.files.source import Line, Source, lines
from pipeline.records import InputError

_SEPARATORS = (",", ";", "\t", "|")
_SEPARATOR_LINE = re.compile(rb'"?sep=(.)"?\s*', re.IGNORECASE)
"""First line in which Excel names its separator."""
_SAMPLE_LINES = 20
_NO_FIT = (False, 0.0, 0)


class _OverlongError(Exception):
    """Raised through the csv library when a record grows beyond the limit."""


class _GivenBackLines:
    """Feeds physical lines to csv.reader and remembers those of the current record."""

    def __init__(self, source: Source) -> None:
        self._lines = lines(source)
        self._waiting: deque[Line] = deque()
        self._limit = min(source.max_line_bytes, csv.field_size_limit())
        self.taken: list[Line] = []
        self._taken_bytes = 0

    def __iter__(self) -> "_GivenBackLines":
        return self

    def __next__(self) -> str:
        line = self._waiting.popleft() if self._waiting else next(self._lines)
        self.taken.append(line)
        self._taken_bytes += len(line.data) + 2
        if line.is_overlong or self._taken_bytes > self._limit + 2:
            raise _OverlongError
        return (line.data + line.ended_by).decode("latin-1")

    def begin_record(self) -> None:
        """Forget the lines of the previous record."""
        self.taken, self._taken_bytes = [], 0

    def give_back_all_but_first(self) -> Line:
        """Queue the record's later lines to be read again; return its first."""
        first, *rest = self.taken
        self._waiting.extendleft(reversed(rest))
        return first


def delimited_header(source: Source) -> list[str]:
    """Return the column names in the first line; unnamed columns are numbered. Raises InputError."""
    _, header, _ = _open(source)
    return header


def delimited_records(source: Source) -> Iterator[tuple[int, dict[str, bytes], str]]:
    """Yield (line, cells by column, reason) of every record after the header; the reason is empty for a good record.

    A record with a reason has one cell, its raw beginning.
    """
    reader, header, feed = _open(source)
    rows = 0
    while (record := _next_record(reader, feed)) is not None:
        rows += 1
        yield _checked(record, header)
    if not rows:
        raise InputError(f"{source.name} has a header line but no rows; choose a file with at least one row.")


def _checked(record: tuple[Line, list[str], str], header: list[str]) -> tuple[int, dict[str, bytes], str]:
    first, cells, reason = record
    if not reason and len(cells) != len(header):
        reason = "wrong number of columns" if first.data.strip() else "empty"
    if reason:
        return first.number, {"": first.data}, reason
    by_name: dict[str, bytes] = {}
    for name, cell in zip(header, cells, strict=True):
        by_name.setdefault(name, cell.encode("latin-1"))  # of two columns with the same name the first counts
    return first.number, by_name, ""


def _open(source: Source) -> tuple[Any, list[str], _GivenBackLines]:
    feed = _GivenBackLines(source)
    separator, is_said = _separator(source)
    if is_said:
        next(feed)
    # Text that is separated by tabs has no quoting: quotation marks are part of the sentence.
    is_quoted = source.kind == "csv" or separator != "\t"
    quoting: Any = csv.QUOTE_MINIMAL if is_quoted else csv.QUOTE_NONE
    reader = csv.reader(feed, delimiter=separator, quoting=quoting, strict=True)
    record = _next_record(reader, feed)
    if record is None or record[2]:
        raise InputError(f"{source.name} has no readable header line; its first line must name the columns.")
    try:
        names = [cell.encode("latin-1").decode("utf-8").strip() for cell in record[1]]
    except UnicodeDecodeError as error:
        raise InputError(
            f"{source.name} has a header line that is not UTF-8; name its encoding (cp1252?) or save it as UTF-8."
        ) from error
    return reader, [name or f"column {place}" for place, name in enumerate(names, start=1)], feed


def _separator(source: Source) -> tuple[str, bool]:
    """Return the separator of the cells, and whether a line of its own at the top names it.

    Otherwise it is the one that splits the header into cells without stray quotation marks and most first lines
    into the same number of cells; ties go to the one that makes more cells, then to the first of _SEPARATORS.
    """
    sample = list(islice(lines(source), _SAMPLE_LINES))
    said = _SEPARATOR_LINE.fullmatch(sample[0].data) if sample else None
    if said:
        return said[1].decode("latin-1"), True
    usual = "\t" if source.kind == "tsv" else ","
    if source.kind == "tsv" and sample and b"\t" in sample[0].data:
        return usual, False
    texts = [f"{line.data.decode('latin-1')}\n" for line in sample]
    rated = [(_fit(texts, separator), separator) for separator in _SEPARATORS]
    best = max((fit for fit, _ in rated), default=_NO_FIT)
    return next((separator for fit, separator in rated if fit == best > _NO_FIT), usual), False


def _fit(texts: list[str], separator: str) -> tuple[bool, float, int]:
    """Rate a separator: header without quotes, share of lines with as many cells as the header, header cells."""
    rows: list[list[str]] = []
    with suppress(csv.Error):  # a line that is too long: what came before it decides
        rows.extend(row for row in csv.reader(texts, delimiter=separator) if row)
    if not rows or len(rows[0]) < 2:
        return _NO_FIT
    header = rows[0]
    return '"' not in "".join(header), sum(len(row) == len(header) for row in rows) / len(rows), len(header)


def _next_record(reader: Any, feed: _GivenBackLines) -> tuple[Line, list[str], str] | None:
    feed.begin_record()
    try:
        cells = next(reader)
    except StopIteration:
        return None
    except _OverlongError:
        is_single = len(feed.taken) == 1
        return feed.give_back_all_but_first(), [], "line too long" if is_single else "quote never closed"
    except csv.Error:
        return feed.give_back_all_but_first(), [], "malformed csv"
    return feed.taken[0], cells, ""


_SAMPLE_ROWS = 200
_MAX_ARRAY_BYTES = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Broken:
    """A record that could not even be split into cells."""

    reason: str
    content: bytes


def json_fields(source: Source) -> list[str]:
    """Return the names of all fields in the first 200 records."""
    fields: dict[str, None] = {}
    for _, record in islice(json_records(source), _SAMPLE_ROWS):
        if isinstance(record, dict):
            fields.update(dict.fromkeys(record))
    return list(fields)


def json_records(source: Source) -> Iterator[tuple[int, dict[str, Any] | Broken]]:
    """Yield (line, record); the records of an array are counted from 1. Raises InputError for a huge array."""
    array = _array(source)
    if array is not None:
        yield from ((place, _checked_json_rows(record)) for place, record in enumerate(array, start=1))
        return
    for line in lines(source):
        yield line.number, Broken("line too long", line.data) if line.is_overlong else _parsed(line.data)


def _parsed(data: bytes) -> dict[str, Any] | Broken:
    if not data.strip():
        return Broken("empty", data)
    try:
        return _checked_json_rows(json.loads(data.decode("utf-8")))
    except UnicodeDecodeError:
        return Broken("not UTF-8", data)
    except (ValueError, RecursionError):  # RecursionError: brackets nested thousands deep
        return Broken("malformed JSON", data)


def _checked_json_rows(record: Any) -> dict[str, Any] | Broken:
    if isinstance(record, dict) and isinstance(record.get("fields"), dict):  # a record of Argilla
        return record | record["fields"]
    return record if isinstance(record, dict) else Broken("not a JSON object", repr(record)[:200].encode())


def _array(source: Source) -> list[Any] | None:
    """The records of a file that is one JSON value: an array, or an object with one array of objects in it."""
    first = next(lines(source), None)
    start = b"" if first is None else first.data.lstrip()[:1]
    is_line = start == b"{" and first is not None and (first.is_overlong or isinstance(_parsed(first.data), dict))
    if is_line or start not in (b"[", b"{"):
        return None
    with source.open() as stream:
        data = stream.read(_MAX_ARRAY_BYTES + 1)
    if len(data) > _MAX_ARRAY_BYTES:
        if start == b"{":
            return None
        raise InputError(f"{source.name} is one JSON array of more than 1 GB; write one object per line.")
    try:
        text = data.decode("utf-8-sig" if source.encoding == "utf-8" else source.encoding)
        del data  # the parsed values are a third copy
        whole = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(whole, dict):
        arrays = [value for value in whole.values() if isinstance(value, list) and value and _holds_objects(value)]
        return arrays[0] if len(arrays) == 1 else None
    return whole if isinstance(whole, list) else None


def _holds_objects(values: list[Any]) -> bool:
    return all(isinstance(value, dict) for value in values)
