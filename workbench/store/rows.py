"""From journal rows to an Arrow table: known columns, right types, one row per key."""

from collections.abc import Sequence

import pyarrow as pa

from workbench.journal import Row, Rows
from workbench.store.connection import Cursor, run

TEXT, COUNT, REAL = pa.string(), pa.int64(), pa.float64()


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
