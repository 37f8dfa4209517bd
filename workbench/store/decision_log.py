"""Lines of the decision log and the three tables they become.

A line is one batch: a torn batch vanishes as a whole. It carries its decisions as columns (one value for all or a
list with one per triplet) or, as the first version wrote them, as a list of objects.
"""

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from workbench.journal import Row, Rows
from workbench.store.connection import Cursor, run
from workbench.store.journals import COUNT, TEXT, columns

_OF_BATCH: Final = ("batch_id", "annotator", "created_at", "reverts")
_OF_DECISION: Final = ("triplet_id", "action", "positive", "hard_negative", "reason", "decided_by")
_FLAT: Final = pa.schema([("sequence", COUNT), *((name, TEXT) for name in (*_OF_BATCH, *_OF_DECISION))])
_BATCHES: Final = pa.schema([("first_sequence", COUNT), ("rows", COUNT), *((name, TEXT) for name in _OF_BATCH)])
_LOGGED: Final = [name for name in _FLAT.names if name != "decided_by"]
_STATE: Final = "triplet_id, sequence, action, positive, hard_negative, annotator, reason, created_at"


def line(batch: Row, table: dict[str, Any]) -> Row:
    """Return the log line of a batch whose decisions are these columns."""
    return {"table": "decisions"} | batch | {"columns": table}


def insert_batches(cursor: Cursor, lines: Rows) -> int:
    """Insert logged batches and the state they leave; known ones stay as they are. Return how many are unusable."""
    tables, heads, rejected = [], [], 0
    for logged in lines:
        try:
            table = _flat(logged)
            heads.append(pa.Table.from_pylist([_head(logged, table.num_rows)], schema=_BATCHES))
            tables.append(table)
        except (pa.ArrowException, KeyError, TypeError, ValueError, AttributeError):
            rejected += 1
    if tables:
        _insert(cursor, pa.concat_tables(heads), pa.concat_tables(tables))
    return rejected


def _head(logged: Row, rows: int) -> Row:
    if not isinstance(logged["batch_id"], str):
        raise ValueError("a batch without an id")
    return {name: logged.get(name) for name in _BATCHES.names} | {"rows": rows}


def _flat(logged: Row) -> pa.Table:
    given = logged["columns"] if "columns" in logged else _as_columns(logged["decisions"])
    count = len(given["triplet_id"])
    if any(triplet_id is None for triplet_id in given["triplet_id"]):
        raise ValueError("a decision without a triplet")
    first = logged["first_sequence"]
    values: dict[str, Any] = {"sequence": pa.array(range(first, first + count), COUNT)}
    values |= {name: _column(logged.get(name), count) for name in _OF_BATCH}
    values |= {name: _column(given.get(name), count) for name in _OF_DECISION}
    return pa.table(values, schema=_FLAT)


def _as_columns(decisions: Rows) -> dict[str, list[Any]]:
    return {name: [decision.get(name) for decision in decisions] for name in _OF_DECISION}


def _column(value: Any, count: int) -> pa.Array:
    if not isinstance(value, list):
        return pa.repeat(pa.scalar(value, TEXT), count)
    if len(value) != count:
        raise ValueError(f"{len(value)} values for {count} triplets")
    return pa.array(value, TEXT)


def _insert(cursor: Cursor, heads: pa.Table, decisions: pa.Table) -> None:
    cursor.register("heads", heads)
    cursor.register("incoming", decisions)
    # One row per triplet, from its decision with the highest number: reading a log again changes nothing.
    newest = decisions.select(["triplet_id", "sequence"])
    if pc.count_distinct(newest["triplet_id"]).as_py() < len(newest):
        newest = newest.group_by("triplet_id").aggregate([("sequence", "max")])
        newest = newest.rename_columns({"sequence_max": "sequence"})
    cursor.register("newest", newest)
    try:
        run(
            cursor,
            f"INSERT INTO decision_batches ({columns(heads)}) SELECT {columns(heads)} FROM heads "
            "WHERE batch_id NOT IN (SELECT batch_id FROM decision_batches)",
        )
        # Looking for conflicts takes twice the time of the rest; batches come one after the other, nearly always new.
        limits = [pc.min(decisions["sequence"]).as_py(), pc.max(decisions["sequence"]).as_py()]
        known = run(cursor, "SELECT 1 FROM decisions WHERE sequence BETWEEN ? AND ? LIMIT 1", limits)
        run(
            cursor,
            f"INSERT INTO decisions ({', '.join(_LOGGED)}) SELECT {', '.join(_LOGGED)} FROM incoming "
            f"{'ON CONFLICT DO NOTHING' if known else ''}",
        )
        run(
            cursor,
            "DELETE FROM decided USING newest WHERE decided.triplet_id = newest.triplet_id "
            "AND decided.sequence < newest.sequence",
        )
        run(
            cursor,
            f"INSERT INTO decided ({_STATE}) SELECT triplet_id, sequence, action, positive, hard_negative, "
            "coalesce(decided_by, annotator), reason, created_at FROM incoming "
            "SEMI JOIN newest USING (triplet_id, sequence) WHERE triplet_id NOT IN "
            "(SELECT triplet_id FROM decided WHERE triplet_id IN (SELECT triplet_id FROM newest))",
        )
    finally:
        cursor.unregister("newest")
        cursor.unregister("incoming")
        cursor.unregister("heads")
