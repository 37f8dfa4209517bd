"""Premises from scratch: every sentence that was asked for, the cell that it was asked for, and how it ended."""

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from workbench.journal import Rows
from workbench.store.connection import Cursor, Database, run
from workbench.store.rows import COUNT, TEXT, checked, insert_new

if TYPE_CHECKING:
    import pandas as pd

_KEY = ["corpus_id", "topic", "genre", "asked", "number"]
_SCHEMA = pa.schema(
    [(name, COUNT if name == "number" else TEXT) for name in (*_KEY, "length", "text", "outcome", "reason")]
)


class PremiseAttempts:
    """The table of attempts, append-only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, cursor: Cursor, rows: Rows) -> int:
        """Insert attempts; one that is already there is left as it was."""
        table, rejected = checked(rows, _SCHEMA, _KEY)
        insert_new(cursor, "premise_attempts", table)
        return rejected

    def corpora(self) -> list[str]:
        """Return the corpora written from scratch, newest first."""
        with self._database.read() as cursor:
            return [row[0] for row in run(cursor, "SELECT DISTINCT corpus_id FROM premise_attempts ORDER BY 1 DESC")]

    def coverage(self, corpus_id: str) -> "pd.DataFrame":
        """Return topic, genre, length (a premise's own) and the number of premises that are ok."""
        with self._database.read() as cursor:
            return cursor.execute(
                "SELECT topic, genre, length, count(*) AS premises FROM premise_attempts "
                "WHERE corpus_id = ? AND outcome = 'ok' GROUP BY ALL ORDER BY ALL",
                [corpus_id],
            ).df()

    def outcome_counts(self, corpus_id: str, *, topic: str = "", genre: str = "") -> dict[str, int]:
        """Return how many attempts ended in each way, most frequent first; of one topic or genre where named."""
        where, values = _where(corpus_id, topic, genre)
        with self._database.read() as cursor:
            rows = run(
                cursor,
                f"SELECT outcome, count(*) FROM premise_attempts WHERE {where} GROUP BY 1 ORDER BY 2 DESC, 1",
                values,
            )
        return {str(outcome): int(count) for outcome, count in rows}

    def page(
        self, corpus_id: str, *, outcome: str, topic: str = "", genre: str = "", limit: int = 200
    ) -> "pd.DataFrame":
        """Return the first attempts with an outcome: topic, genre, asked, length, text, reason."""
        where, values = _where(corpus_id, topic, genre)
        with self._database.read() as cursor:
            return cursor.execute(
                "SELECT topic, genre, asked, length, text, reason FROM premise_attempts "
                f"WHERE {where} AND outcome = ? ORDER BY topic, genre, asked, number LIMIT ?",
                [*values, outcome, limit],
            ).df()


def _where(corpus_id: str, topic: str, genre: str) -> tuple[str, list[Any]]:
    """Return the condition on these columns; names are fixed here, values are bound."""
    chosen = {"corpus_id": corpus_id} | ({"topic": topic} if topic else {}) | ({"genre": genre} if genre else {})
    return " AND ".join(f"{name} = ?" for name in chosen), list(chosen.values())
