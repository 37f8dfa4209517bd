"""Two-dimensional maps of sentences: where their points lie on disk and how faithful they are."""

from typing import TYPE_CHECKING

import pyarrow as pa

from workbench.journal import Rows
from workbench.store.connection import Cursor, Database
from workbench.store.rows import COUNT, REAL, TEXT, checked, insert_new

if TYPE_CHECKING:
    import pandas as pd

_SCHEMA = pa.schema(
    [(name, TEXT) for name in ("projection_id", "encoder_id", "corpus", "method", "path")]
    + [("trustworthiness", REAL), ("neighbour_recall", REAL), ("points", COUNT)]
)


class Projections:
    """The table of projections."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, cursor: Cursor, rows: Rows) -> int:
        """Insert projections; one whose id is already there is left as it was."""
        table, rejected = checked(rows, _SCHEMA, ["projection_id"])
        insert_new(cursor, "projections", table)
        return rejected

    def list(self) -> "pd.DataFrame":
        """Return every projection, newest first."""
        with self._database.read() as cursor:
            return cursor.execute("SELECT * FROM projections ORDER BY projection_id DESC").df()
