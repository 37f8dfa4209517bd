"""Records of csv and tsv files through the csv library, with recovery after a broken record.

A stray opening quote would make the library swallow the rest of the file into one cell. Here the lines of a
broken record but the first go back to be read again, so exactly the line that opened it is rejected.
Bytes are mapped one to one onto Latin-1 for the library and decoded per cell, so one bad byte costs one row.
"""

import csv
from collections import deque
from collections.abc import Iterator
from typing import Any

from pipeline.errors import InputError
from pipeline.files.source import Line, Source, lines


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
        """Forget the lines of the record before."""
        self.taken, self._taken_bytes = [], 0

    def give_back_all_but_first(self) -> Line:
        """Queue the record's later lines to be read again; return its first."""
        first, *rest = self.taken
        self._waiting.extendleft(reversed(rest))
        return first


def delimited_header(source: Source) -> list[str]:
    """Return the column names of the first line; an unnamed column is called by its place. Raises InputError."""
    _, header, _ = _open(source)
    return header


def delimited_records(source: Source) -> Iterator[tuple[int, dict[str, bytes], str]]:
    """Yield (line, cells by column, reason) of every record after the header; the reason is empty when all is well.

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
    # the first of two columns with one name counts
    by_name = {name: cell.encode("latin-1") for name, cell in reversed(list(zip(header, cells, strict=True)))}
    return first.number, by_name, ""


def _open(source: Source) -> tuple[Any, list[str], _GivenBackLines]:
    feed = _GivenBackLines(source)
    reader = _reader(source, feed)
    record = _next_record(reader, feed)
    if record is None or record[2]:
        raise InputError(f"{source.name} has no readable header line; its first line must name the columns.")
    try:
        names = [cell.encode("latin-1").decode("utf-8").strip() for cell in record[1]]
    except UnicodeDecodeError as error:
        raise InputError(f"{source.name} has a header line that is not UTF-8; save it as UTF-8.") from error
    return reader, [name or f"column {place}" for place, name in enumerate(names, start=1)], feed


def _reader(source: Source, feed: _GivenBackLines) -> Any:
    if source.kind == "tsv":  # tab-separated text has no quoting: quotation marks are part of the sentence
        return csv.reader(feed, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
    return csv.reader(feed, delimiter=_delimiter(source), strict=True)


def _delimiter(source: Source) -> str:
    """Spreadsheets of many countries write ; into csv: take it where the header has no comma."""
    header = next(lines(source)).data
    return ";" if b";" in header and b"," not in header else ","


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
