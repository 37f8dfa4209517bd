"""A mirror of the job folders, so that SQL can join titles and states. The folders are the truth."""

import pyarrow as pa

from workbench.journal import Rows
from workbench.store.connection import Database
from workbench.store.rows import COUNT, TEXT, columns, insert

_SCHEMA = pa.schema(
    [("job_id", TEXT), ("kind", TEXT), ("title", TEXT), ("state", TEXT), ("done", COUNT), ("total", COUNT)]
    + [(name, TEXT) for name in ("message", "spec", "created_at", "started_at", "finished_at")]
)


class Jobs:
    """The table of jobs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def mirror(self, rows: Rows) -> None:
        """Insert or update these jobs in one transaction."""
        incoming = pa.Table.from_pylist(rows, schema=_SCHEMA)
        changed = ", ".join(f"{name} = excluded.{name}" for name in _SCHEMA.names[1:])
        with self._database.write() as cursor:
            insert(
                cursor,
                incoming,
                f"INSERT INTO jobs ({columns(incoming)}) SELECT {columns(incoming)} FROM incoming "
                f"ON CONFLICT (job_id) DO UPDATE SET {changed}",
            )
