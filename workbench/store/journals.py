"""Journal lines into tables: the rows and the new position commit together, so every line counts exactly once."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

import pyarrow as pa

from workbench.journal import Row, Rows, parse_lines, read_whole_lines, tail_digest, whole_bytes
from workbench.store.connection import Cursor, Database, run

_CHUNK_BYTES = 8 << 20
TEXT, COUNT, REAL = pa.string(), pa.int64(), pa.float64()


def schema_of(texts: Sequence[str] = (), counts: Sequence[str] = (), reals: Sequence[str] = ()) -> pa.Schema:
    """Return a schema of these columns, by type."""
    return pa.schema([*((t, TEXT) for t in texts), *((c, COUNT) for c in counts), *((r, REAL) for r in reals)])


def checked(rows: Sequence[Row], schema: pa.Schema, key: Sequence[str]) -> tuple[pa.Table, int]:
    """Return the usable rows and how many were rejected: a key missing or a value of the wrong type.

    Of rows with the same key the first wins, whatever the size of the batches they arrive in.
    """
    usable: dict[tuple[object, ...], Row] = {}
    rejected = 0
    for row in rows:
        identity = tuple(row.get(name) for name in key)
        if any(part is None or isinstance(part, list | dict) for part in identity):
            rejected += 1
        else:
            usable.setdefault(identity, row)
    table, mistyped = _typed(list(usable.values()), schema)
    return table, rejected + mistyped


def insert_new(cursor: Cursor, name: str, incoming: pa.Table) -> None:
    """Insert these rows in bulk; a row whose key is already there is left as it was."""
    insert(
        cursor,
        incoming,
        f"INSERT INTO {name} ({columns(incoming)}) SELECT {columns(incoming)} FROM incoming ON CONFLICT DO NOTHING",
    )


def insert(cursor: Cursor, incoming: pa.Table, statement: str) -> None:
    """Run an INSERT ... SELECT FROM incoming; hundreds of times faster than a statement per row."""
    if not incoming.num_rows:
        return
    cursor.register("incoming", incoming)
    try:
        run(cursor, statement)
    finally:
        cursor.unregister("incoming")


def columns(table: pa.Table) -> str:
    """Return the column names for an INSERT; they come from a schema in this package, never from input."""
    return ", ".join(table.column_names)


def _typed(rows: Rows, schema: pa.Schema) -> tuple[pa.Table, int]:
    try:
        return pa.Table.from_pylist(rows, schema=schema), 0
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        pass  # some row is at fault: find out which
    good = [row for row in rows if _fits(row, schema)]
    return pa.Table.from_pylist(good, schema=schema), len(rows) - len(good)


def _fits(row: Row, schema: pa.Schema) -> bool:
    try:
        pa.Table.from_pylist([row], schema=schema)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return False
    return True


_WRITTEN = {"triplet_blocks": ("triplets",), "decisions": ("decisions", "decision_batches", "decided")}
"""Name in a journal row -> tables that it changes, where that is not the table of its name."""


class JournalTable(Protocol):
    """What can receive rows of journals."""

    def insert(self, cursor: Cursor, rows: Rows) -> int:
        """Insert the rows inside the caller's transaction; return how many were unusable."""
        ...


class Table:
    """A table of the database that receives the journal rows of its name."""

    name: ClassVar[str]
    schema: ClassVar[pa.Schema]
    key: ClassVar[Sequence[str]]

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, cursor: Cursor, rows: Rows) -> int:
        """Insert the rows inside the caller's transaction; return how many were unusable.

        A row whose key is already in the table is left as it was.
        """
        table, rejected = checked([self.flat(row) for row in rows], self.schema, self.key)
        insert_new(cursor, self.name, table)
        return rejected

    def flat(self, row: Row) -> Row:
        """Return a journal row with the columns of the table, for example a list as JSON."""
        return row


@dataclass(frozen=True, slots=True)
class Reading:
    """How far a journal has been read, and what could not be used."""

    position: int = 0
    tail: str = ""
    """Hash of the bytes before the position: shows whether the file still is the one read so far."""
    rejected: int = 0
    """Lines that are damaged or miss a value their table needs."""
    unknown: dict[str, int] = field(default_factory=dict)
    """Rows of tables that this version does not know, by name."""


class Journals:
    """Reads journals by byte position. One reader at a time: the ingester thread, or a rebuild."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tables: dict[str, JournalTable] = {}
        with database.read() as cursor:
            rows = run(cursor, "SELECT source, position, tail, rejected, unknown FROM ingested")
        self._readings = {row[0]: Reading(row[1], row[2], row[3], json.loads(row[4])) for row in rows}

    def register(self, name: str, table: JournalTable) -> None:
        """Let a table receive the journal rows that carry this name."""
        self._tables[name] = table

    def reading(self, source: str) -> Reading:
        """Return how far this journal has been read."""
        return self._readings.get(source, Reading())

    def is_behind(self, source: str, path: Path) -> bool:
        """Whether the file holds whole lines not read yet; what a killed writer left after the last one never counts.

        Costs one stat while nothing is new.
        """
        position = self.reading(source).position
        return path.exists() and path.stat().st_size != position and whole_bytes(path) != position

    def ingest(self, source: str, path: Path, chunk_bytes: int = _CHUNK_BYTES) -> int:
        """Store the next whole lines of this journal in one transaction; return how many lines there were."""
        before = self._checked_reading(source, path)
        chunk = read_whole_lines(path, before.position, chunk_bytes)
        if not chunk:
            return 0
        rows, damaged = parse_lines(chunk)
        position = before.position + len(chunk)
        names = {row["table"] for row in rows}
        touched = {table for name in names for table in _WRITTEN.get(name, (name,))} | {"ingested"}
        with self._database.write(touched) as cursor:
            rejected, unknown = self._insert(cursor, source, rows)
            after = Reading(
                position=position,
                tail=tail_digest(path, position),
                rejected=before.rejected + damaged + rejected,
                unknown=dict(Counter(before.unknown) + unknown),
            )
            save_reading(cursor, source, after)
        self._readings[source] = after
        return chunk.count(b"\n")

    def ingest_all(self, source: str, path: Path, chunk_bytes: int = _CHUNK_BYTES) -> int:
        """Store everything this journal holds now; return the number of lines."""
        total = 0
        while lines := self.ingest(source, path, chunk_bytes):
            total += lines
        return total

    def _checked_reading(self, source: str, path: Path) -> Reading:
        """Start over when the file is not the one read before; keys keep known rows from doubling."""
        before = self.reading(source)
        if before.position and (
            path.stat().st_size < before.position or tail_digest(path, before.position) != before.tail
        ):
            return Reading()
        return before

    def _insert(self, cursor: Cursor, source: str, rows: Rows) -> tuple[int, Counter[str]]:
        by_table: dict[str, Rows] = {}
        for row in rows:
            by_table.setdefault(row["table"], []).append(row | {"source": source})
        rejected = 0
        unknown: Counter[str] = Counter()
        for name, group in by_table.items():
            if name in self._tables:
                rejected += self._tables[name].insert(cursor, group)
            else:
                unknown[name] += len(group)
        return rejected, unknown


def save_reading(cursor: Cursor, source: str, reading: Reading) -> None:
    """Record how far a source has been read, inside the transaction that stores its rows."""
    row = {
        "source": source,
        "position": reading.position,
        "tail": reading.tail,
        "rejected": reading.rejected,
        "unknown": json.dumps(reading.unknown, sort_keys=True),
    }
    insert(
        cursor,
        pa.Table.from_pylist([row], schema=schema_of(("source", "tail", "unknown"), counts=("position", "rejected"))),
        "INSERT INTO ingested SELECT source, position, tail, rejected, unknown FROM incoming ON CONFLICT (source) "
        "DO UPDATE SET position = excluded.position, tail = excluded.tail, rejected = excluded.rejected, "
        "unknown = excluded.unknown",
    )
