"""Premises of imported corpora."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline.errors import InputError
from workbench.ids import new_id
from workbench.journal import Row, Rows
from workbench.store.connection import Cursor, Database, run
from workbench.store.imports import Imports
from workbench.store.rows import COUNT, TEXT, checked, insert_new

if TYPE_CHECKING:
    import pandas as pd

_SCHEMA = pa.schema([("corpus_id", TEXT), ("position", COUNT), ("premise_id", TEXT), ("text", TEXT)])
_CORPORA = """
    SELECT import_id, name, source, coalesce(held.premises, 0), duplicates, rejected, created_at
    FROM imports LEFT JOIN (SELECT corpus_id, count(*) AS premises FROM premises GROUP BY corpus_id) AS held
    ON held.corpus_id = imports.import_id WHERE kind = 'corpus'
"""


@dataclass(frozen=True, slots=True)
class Corpus:
    """One imported list of premises, and what its import left out."""

    corpus_id: str
    name: str
    source: str
    premises: int
    duplicates: int
    rejected: dict[str, int]
    created_at: str


class Premises:
    """The table of premises."""

    def __init__(self, database: Database, imports: Imports) -> None:
        self._database = database
        self._imports = imports

    def insert(self, cursor: Cursor, rows: Rows) -> int:
        """Insert premises; a (corpus, position) already there is left as it was."""
        table, rejected = checked(rows, _SCHEMA, ["corpus_id", "position"])
        insert_new(cursor, "premises", table)
        return rejected

    def add_corpus(
        self, name: str, source: str, frame: "pd.DataFrame", rejected: dict[str, int], duplicates: int
    ) -> Corpus:
        """Store a corpus: premise_id and text per row of the frame, in this order."""
        corpus_id = new_id("corpus")
        header = {
            "kind": "corpus",
            "name": name,
            "origin": source,
            "duplicates": int(duplicates),
            "rejected": {reason: int(count) for reason, count in rejected.items()},
        }
        self._imports.add(corpus_id, lambda: header, _rows(corpus_id, frame))
        return self.corpus(corpus_id)

    def corpora(self) -> list[Corpus]:
        """Return every corpus, newest first."""
        with self._database.read() as cursor:
            return [_corpus(row) for row in run(cursor, f"{_CORPORA} ORDER BY import_id DESC")]

    def corpus(self, corpus_id: str) -> Corpus:
        """Return one corpus; an unknown id is an InputError."""
        with self._database.read() as cursor:
            rows = run(cursor, f"{_CORPORA} AND import_id = ?", [corpus_id])
        if not rows:
            raise InputError(f"There is no corpus {corpus_id}; choose one of the imported corpora.")
        return _corpus(rows[0])

    def page(self, corpus_id: str, after: int = -1, limit: int = 50, text: str = "") -> "pd.DataFrame":
        """Return the next premises whose position is above `after`: position, premise_id, text."""
        with self._database.read() as cursor:
            return cursor.execute(
                "SELECT position, premise_id, text FROM premises WHERE corpus_id = ? AND position > ? "
                "AND contains(lower(text), lower(?)) ORDER BY position LIMIT ?",
                [corpus_id, after, text, limit],
            ).df()

    def rows(self, corpus_id: str, limit: int | None = None) -> "pd.DataFrame":
        """Return premise_id and text in the order of the corpus."""
        with self._database.read() as cursor:
            return cursor.execute(
                "SELECT premise_id, text FROM premises WHERE corpus_id = ? ORDER BY position LIMIT ?",
                [corpus_id, limit],
            ).df()


def _rows(corpus_id: str, frame: "pd.DataFrame") -> Iterator[Row]:
    for position, (premise_id, text) in enumerate(zip(frame["premise_id"], frame["text"], strict=True)):
        yield {
            "table": "premises",
            "corpus_id": corpus_id,
            "position": position,
            "premise_id": str(premise_id),
            "text": str(text),
        }


def _corpus(row: tuple[Any, ...]) -> Corpus:
    corpus_id, name, source, premises, duplicates, rejected, created_at = row
    return Corpus(corpus_id, name, source, premises, duplicates, json.loads(rejected), created_at)
