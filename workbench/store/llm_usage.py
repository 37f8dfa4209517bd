"""What servers charged for: the running total of each attempt, append-only; the last row of an attempt counts."""

import pyarrow as pa

from workbench.journal import Rows
from workbench.store.connection import Cursor, Database, records
from workbench.store.rows import COUNT, REAL, TEXT, checked, insert_new

_SCHEMA = pa.schema(
    [("attempt_id", TEXT), ("number", COUNT)]
    + [(name, COUNT) for name in ("calls", "prompt_tokens", "reply_tokens")]
    + [("money", REAL)]
)


class LLMUsage:
    """The table of totals."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, cursor: Cursor, rows: Rows) -> int:
        """Insert totals; one whose number is already there is left as it was."""
        table, rejected = checked(rows, _SCHEMA, ["attempt_id", "number"])
        insert_new(cursor, "llm_usage", table)
        return rejected

    def of(self, attempt_id: str) -> dict[str, float] | None:
        """Return calls, prompt_tokens, reply_tokens and money of an attempt; None for one that no server charged."""
        with self._database.read() as cursor:
            found = records(
                cursor,
                "SELECT calls, prompt_tokens, reply_tokens, money FROM llm_usage WHERE attempt_id = ? "
                "ORDER BY number DESC LIMIT 1",
                [attempt_id],
            )
        return found[0] if found else None
