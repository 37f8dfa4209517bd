"""Training runs: the curve of every step."""

from typing import TYPE_CHECKING

import pyarrow as pa

from workbench.jobs.journal import Row, Rows
from workbench.store.connection import Cursor, Database
from workbench.store.rows import COUNT, REAL, TEXT, checked, insert

if TYPE_CHECKING:
    import pandas as pd

_SCHEMA = pa.schema(
    [("run_id", TEXT), ("step", COUNT), ("steps", COUNT)]
    + [(name, REAL) for name in ("loss", "learning_rate", "masked_share", "triplets_per_s", "dev_score")]
)
_COLUMNS = ", ".join(_SCHEMA.names)


class Runs:
    """The table train_steps, joined with jobs for titles and states."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, cursor: Cursor, rows: Rows) -> int:
        """Insert steps. A resumed run repeats some: the first row stays, a dev score measured later is added."""
        table, rejected = checked(_merged(rows), _SCHEMA, ["run_id", "step"])
        insert(
            cursor,
            table,
            f"INSERT INTO train_steps ({_COLUMNS}) SELECT {_COLUMNS} FROM incoming ON CONFLICT (run_id, step) "
            "DO UPDATE SET dev_score = coalesce(train_steps.dev_score, excluded.dev_score)",
        )
        return rejected

    def curve(self, run_id: str) -> "pd.DataFrame":
        """Return step, steps, loss, learning_rate, masked_share, triplets_per_s, dev_score in order of steps."""
        with self._database.read() as cursor:
            return cursor.execute(
                "SELECT * EXCLUDE (run_id) FROM train_steps WHERE run_id = ? ORDER BY step", [run_id]
            ).df()

    def list(self) -> "pd.DataFrame":
        """Return run_id, title, state, step, steps, loss, dev_score, created_at of every run, newest first."""
        with self._database.read() as cursor:
            return cursor.execute(
                "SELECT job_id AS run_id, title, state, step, steps, loss, dev_score, spec, created_at, finished_at "
                "FROM jobs LEFT JOIN (SELECT run_id, max(step) AS step, any_value(steps) AS steps, "
                "  arg_max(loss, step) AS loss, arg_max(dev_score, step) AS dev_score "
                "  FROM train_steps GROUP BY run_id) ON run_id = job_id WHERE kind = 'train' ORDER BY job_id DESC"
            ).df()


def _merged(rows: Rows) -> Rows:
    """Give the first row of each step the first dev score reported for it, as the database does across batches."""
    merged: dict[tuple[object, object], Row] = {}
    for row in rows:
        first = merged.setdefault((str(row.get("run_id")), str(row.get("step"))), row)
        if first.get("dev_score") is None and row.get("dev_score") is not None:
            merged[str(row.get("run_id")), str(row.get("step"))] = first | {"dev_score": row["dev_score"]}
    return list(merged.values())
