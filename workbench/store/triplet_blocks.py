"""How triplets come into their table: row by row from generation, in blocks of thousands from an import."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.generation.outcomes import is_copy
from pipeline.records import Outcome
from workbench.journal import Row, Rows
from workbench.store.connection import Cursor, run
from workbench.store.journals import TEXT, insert, schema_of

_TEXTS = (
    *("triplet_id", "attempt_id", "premise_id", "premise", "positive", "hard_negative"),
    *("positive_raw", "hard_negative_raw", "positive_outcome", "hard_negative_outcome"),
    *("contrast", "llm", "prompt_set", "origin"),
)
TRIPLET_SCHEMA = schema_of(_TEXTS, ("seed", "tokens"), ("omega",))
_INSERT = f"""
    INSERT INTO triplets ({", ".join(TRIPLET_SCHEMA.names)}, search)
    SELECT {", ".join(TRIPLET_SCHEMA.names)}, lower(concat_ws(chr(31), premise, positive, hard_negative))
    FROM incoming {{}} ORDER BY arrival
"""
_INSERT_NEW = _INSERT.format("")
_INSERT_ANY = _INSERT.format(
    "WHERE triplet_id NOT IN (SELECT triplet_id FROM triplets WHERE triplet_id IN (SELECT triplet_id FROM incoming))"
)
"""Unlike ON CONFLICT DO NOTHING, which scrambles the rows of a batch, this keeps the order of arrival."""
IMPORTED = ("premise_id", "premise", "positive", "hard_negative")
_BLOCK_ROWS = 20_000


FEW = 1_000
"""Rows whose ids are looked up by the index; for more of them a scan of all ids is as fast."""


def attempts_of(cursor: Cursor, triplet_ids: Sequence[str]) -> dict[str, str]:
    """Return the runs of these few triplets, those that are in the table, by their ids."""
    marks = ", ".join("?" * len(triplet_ids)) or "''"
    found = run(cursor, f"SELECT triplet_id, attempt_id FROM triplets WHERE triplet_id IN ({marks})", triplet_ids)
    return {str(triplet_id): str(attempt_id) for triplet_id, attempt_id in found}


def insert_triplets(cursor: Cursor, table: pa.Table) -> None:
    """Insert triplets with different ids in their order; those that are there already are left as they were."""
    statement = _INSERT_ANY
    if table.num_rows <= FEW:  # as generation brings them, second by second
        known = attempts_of(cursor, table["triplet_id"].to_pylist())
        table = table.filter(pc.invert(pc.is_in(table["triplet_id"], pa.array(list(known), TEXT))))
        statement = _INSERT_NEW
    insert(cursor, table.append_column("arrival", pa.array(range(table.num_rows))), statement)


class TripletBlocks:
    """Receives the journal lines that hold a block of imported triplets each."""

    def insert(self, cursor: Cursor, rows: Rows) -> int:
        """Insert the blocks; return how many were unusable."""
        rejected = 0
        for row in rows:
            try:
                table = _block_table(row)
            except (pa.ArrowException, KeyError, TypeError, ValueError):
                rejected += 1
                continue
            # A block is stored whole or not at all; its first id is looked up in the index.
            first = table["triplet_id"].slice(0, 1).to_pylist()
            if first and not run(cursor, "SELECT 1 FROM triplets WHERE triplet_id = ?", first):
                insert(cursor, table.append_column("arrival", pa.array(range(table.num_rows))), _INSERT_NEW)
        return rejected


def import_blocks(attempt_id: str, rows: Iterable[tuple[str, ...]]) -> Iterator[Row]:
    """Journal lines of many triplets each: a million rows one by one would take minutes to write and to read."""
    stream, first = iter(rows), 0
    while block := list(islice(stream, _BLOCK_ROWS)):
        columns = {name: list(values) for name, values in zip(IMPORTED, zip(*block, strict=True), strict=True)}
        yield {"table": "triplet_blocks", "attempt_id": attempt_id, "first": first, "columns": columns}
        first += len(block)


def _block_table(row: Row) -> pa.Table:
    columns = {field: pa.array(row["columns"][field], TEXT) for field in IMPORTED}
    count = len(columns["premise"])
    attempt_id, first = str(row["attempt_id"]), int(row["first"])
    columns |= {
        "triplet_id": pa.array([f"{attempt_id}-{number}" for number in range(first, first + count)], TEXT),
        "positive_raw": columns["positive"],
        "hard_negative_raw": columns["hard_negative"],
    }
    constants = {"attempt_id": attempt_id, "contrast": "none", "origin": "import", "tokens": 0}
    constants |= {"positive_outcome": "ok"}
    columns["hard_negative_outcome"] = _hard_negative_outcomes(columns["positive"], columns["hard_negative"])
    for field in TRIPLET_SCHEMA:
        if field.name not in columns:
            columns[field.name] = pa.repeat(pa.scalar(constants.get(field.name), field.type), count)
    return pa.table({name: columns[name] for name in TRIPLET_SCHEMA.names}, schema=TRIPLET_SCHEMA)


def _hard_negative_outcomes(positives: pa.Array, hard_negatives: pa.Array) -> pa.Array:
    """Return ok, or copy where the hard negative says its positive again; only likely cases are compared."""
    lower = [pc.utf8_lower(texts) for texts in (positives, hard_negatives)]
    first = [pc.utf8_slice_codeunits(texts, 0, 1) for texts in lower]
    both_begin = pc.and_(*map(pc.utf8_is_alnum, first))
    places = pc.indices_nonzero(pc.invert(pc.and_(both_begin, pc.not_equal(*first))))
    letters = [pc.replace_substring_regex(texts.take(places), r"[^\p{L}\p{N}]+", "") for texts in lower]
    found = [str(Outcome.OK)] * len(positives)
    for place in places.filter(pc.equal(*letters)).to_pylist():
        if is_copy(hard_negatives[place].as_py(), positives[place].as_py()):
            found[place] = str(Outcome.COPY)
    return pa.array(found, TEXT)
