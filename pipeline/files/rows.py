"""Rows of files of every kind: every row is either read or rejected with a reason."""

import json
import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.files.cells import EXPORT_COLUMNS, MISSING, formula_restored
from pipeline.files.parquet import arrow_columns, arrow_records, parquet_columns, parquet_records
from pipeline.files.source import MAX_LINE_BYTES, Source, lines, require_text
from pipeline.files.spreadsheet import xlsx_columns, xlsx_records
from pipeline.files.text_tables import Broken, delimited_header, delimited_records, json_fields, json_records
from pipeline.records import InputError, Outcome

TEXT_COLUMN = "text"
"""Name of the only column of a plain text file."""

OUTCOMES = ("outcome", "positive_outcome", "hard_negative_outcome")
"""Columns with the outcome of generation: one object for both sides (`generate --out`), or one word per side."""
_LETTER_OR_DIGIT = re.compile(r"[^\W_]")
_FAILED = frozenset(Outcome) - {Outcome.OK}

EXCERPT_CHARS = 80
LISTED_ROWS = 200
"""Most rejected rows listed in an answer; the counts of reasons cover all of them."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the line it starts on (in parquet its number, from 1) and the requested cells."""

    line: int
    cells: dict[str, str]
    failed: str = ""
    """Side and outcome of a sentence that generation did not mark as ok."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that could not be used: its line, the reason, and its beginning with control characters escaped."""

    line: int
    reason: str
    excerpt: str

    @classmethod
    def of(cls, line: int, reason: str, content: object) -> "Rejected":
        """Reject a row, keeping only the beginning of its content."""
        return cls(line, reason, excerpt(content))

    def as_dict(self) -> dict[str, int | str]:
        """Return the row as JSON values."""
        return {"line": self.line, "reason": self.reason, "begins": self.excerpt}


class RowError(ValueError):
    """Why one row cannot be read; caught here and turned into a Rejected."""


def column_names(source: Source) -> list[str]:
    """Return the names of a file's columns; for jsonl the fields of its first 200 rows. Raises InputError."""
    kind = source.kind
    if kind == "parquet":
        return parquet_columns(source)
    if kind == "arrow":
        return arrow_columns(source)
    if kind == "xlsx":
        return xlsx_columns(source)
    require_text(source)
    if kind == "txt":
        return [TEXT_COLUMN]
    if kind == "jsonl":
        return json_fields(source)
    return delimited_header(source)


def outcome_columns(source: Source) -> list[str]:
    """Return those of OUTCOMES that the file has."""
    return [name for name in OUTCOMES if name in column_names(source)]


def read_rows(
    source: Source,
    columns: Sequence[str],
    *,
    numbers: Collection[str] = (),
    lists: Collection[str] = (),
    outcomes: Collection[str] = (),
) -> Iterator[Row | Rejected]:
    """Yield every row of the file exactly once, in order, as a Row with these columns or as Rejected.

    Columns named in `numbers` may hold JSON or Parquet numbers, which are returned as text. Columns named in `lists`
    may hold lists of texts; such a row is yielded once per text of its longest list, and shorter lists repeat from
    their start. In other columns numbers and lists are rejected as not text. In csv and tsv files the spellings of
    `MISSING` are missing values; typed formats have nulls for that. `outcomes` are columns of `outcome_columns`.
    Raises InputError if the file as a whole cannot be used (not text, empty, a column that does not exist).
    """
    offered = _require_columns(source, columns)
    is_untyped = source.kind in ("csv", "tsv")
    is_own_export = source.kind == "csv" and tuple(offered) == EXPORT_COLUMNS
    for line, record in _records(source, [*columns, *outcomes], numbers, lists):
        failed = _failed(record, outcomes)
        try:
            for cells in _cells(record, columns, numbers, lists):
                if is_untyped and not MISSING.isdisjoint(cells.values()):
                    raise RowError("missing field")
                if is_own_export:
                    cells = {name: formula_restored(cell) for name, cell in cells.items()}
                yield Row(line, cells, failed)
        except RowError as error:
            yield Rejected.of(line, str(error), record)


def excerpt(record: object) -> str:
    """Return the beginning of a record as one printable line."""
    if isinstance(record, Broken):
        record = record.content
    if isinstance(record, dict):
        record = " | ".join(map(_shown, record.values()))
    text = _shown(record)
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text[:EXCERPT_CHARS])


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return value[: 4 * EXCERPT_CHARS].decode("utf-8", errors="replace")
    return (value if isinstance(value, str) else str(value))[:EXCERPT_CHARS]


def _records(
    source: Source, columns: Sequence[str], numbers: Collection[str], lists: Collection[str]
) -> Iterator[tuple[int, dict[str, Any] | Broken]]:
    kind = source.kind
    if kind == "parquet":
        yield from parquet_records(source, columns, numbers=numbers, lists=lists)
    elif kind == "arrow":
        yield from arrow_records(source, columns, numbers=numbers, lists=lists)
    elif kind == "xlsx":
        yield from xlsx_records(source)
    elif kind in ("csv", "tsv"):
        for start, cells, broken in delimited_records(source):
            yield start, Broken(broken, b"|".join(cells.values())) if broken else cells
    elif kind == "jsonl":
        yield from json_records(source)
    else:
        for line in lines(source):
            yield line.number, Broken("line too long", line.data) if line.is_overlong else {TEXT_COLUMN: line.data}


def _require_columns(source: Source, columns: Sequence[str]) -> list[str]:
    offered = column_names(source)
    missing = [name for name in columns if name not in offered]
    if missing:
        has = ", ".join(excerpt(name) for name in offered[:30]) or "none"
        raise InputError(f"{source.name} has no column {', '.join(missing)}; choose among its columns: {has}.")
    return offered


def _cells(
    record: dict[str, Any] | Broken, columns: Sequence[str], numbers: Collection[str], lists: Collection[str]
) -> list[dict[str, str]]:
    """The record's cells; several times where it holds lists."""
    if isinstance(record, Broken):
        raise RowError(record.reason)
    cells = {name: record.get(name) for name in columns}
    if not any(name in lists and isinstance(cells[name], list) for name in columns):
        return [{name: _text(value, is_number=name in numbers) for name, value in cells.items()}]
    texts = {
        name: [_text(item) for item in (value if name in lists and isinstance(value, list) else [value])]
        for name, value in cells.items()
    }
    if not all(texts.values()):
        raise RowError("missing field")
    longest = max(len(values) for values in texts.values())
    return [{name: values[place % len(values)] for name, values in texts.items()} for place in range(longest)]


def _failed(record: dict[str, Any] | Broken, outcomes: Collection[str]) -> str:
    """Return the first side that did not end well, such as `hard negative: copy`; empty where all did."""
    if isinstance(record, Broken):
        return ""
    for name in outcomes:
        value = record.get(name)
        value = value.decode(errors="replace") if isinstance(value, bytes) else value
        if isinstance(value, str) and value.startswith("{"):  # an object that was written into a csv cell
            with suppress(ValueError):
                value = json.loads(value.replace("'", '"'))
        for side, outcome in (value if isinstance(value, dict) else {name.removesuffix("_outcome"): value}).items():
            if isinstance(outcome, str) and outcome in _FAILED:
                return f"{side.replace('_', ' ')}: {outcome}"
    return ""


def _text(value: object, *, is_number: bool = False) -> str:
    if is_number and isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value)
    if value is None:
        raise RowError("missing field")
    if isinstance(value, str | bytes) and len(value) > MAX_LINE_BYTES:  # before anything makes copies of it
        raise RowError("cell too long")
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


def text_fault(text: str, *, max_chars: int) -> str:
    """Return why a text cannot be used, or an empty string.

    Reasons: empty; control characters only; control characters (anything of Unicode class Cc that is not white
    space, such as NUL); no letters or digits; too long (more than max_chars characters).
    """
    if not text.strip():
        return "empty"
    # Nearly every sentence is printable as a whole, and then holds no control character to count.
    controls = not text.isprintable() and sum(unicodedata.category(c) == "Cc" and not c.isspace() for c in text)
    if controls and not any(c.isprintable() and not c.isspace() for c in text):
        return "control characters only"
    if controls:
        return "control characters"
    if not _LETTER_OR_DIGIT.search(text):
        return "no letters or digits"
    return "too long" if len(text) > max_chars else ""


class SeenDigests:
    """Digests seen so far, 16 bytes of memory for each; a set of Python's takes 120.

    They lie in sorted arrays of falling size, which are merged before there are many of them, so that adding a
    number of digests takes little more than sorting them.
    """

    def __init__(self) -> None:
        self._sorted: list[NDArray[np.bytes_]] = []

    def add(self, digests: Sequence[bytes]) -> NDArray[np.bool_]:
        """Add digests of 16 bytes; return for each whether it is the first of its value."""
        found, first = np.unique(np.array(digests, dtype="S16"), return_index=True)
        is_new = np.zeros(len(digests), dtype=bool)
        for known in self._sorted:
            place = np.minimum(np.searchsorted(known, found), len(known) - 1)
            absent = known[place] != found
            found, first = found[absent], first[absent]
        is_new[first] = True
        if len(found):
            self._sorted.append(found)
        while len(self._sorted) > 1 and len(self._sorted[-2]) < 4 * len(self._sorted[-1]):
            merged = np.concatenate([self._sorted.pop(), self._sorted.pop()])
            merged.sort(kind="stable")  # finds the two runs
            self._sorted.append(merged)
        return is_new
