"""Training runs: the curve of every step."""

from typing import TYPE_CHECKING

import pyarrow as pa

from workbench.journal import Row, Rows
from workbench.store.connection import Cursor, Database
from workbench.store.rows import COUNT, REAL, TEXT, checked, insert

if TYPE_CHECKING:
    import pandas as pd

_MEASURED = (
    *("loss", "info_nce", "learning_rate"),
    *("masked_share", "masked_positives", "masked_hard_negatives", "masked_own"),
    *("triplets_per_s", "memory_mb", "gpu_memory_mb", "gpu_use", "dev_score"),
)
_SCHEMA = pa.schema([("run_id", TEXT), ("step", COUNT), ("steps", COUNT)] + [(name, REAL) for name in _MEASURED])
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

    def curve(self, run_id: str, *, most: int = 2000) -> "pd.DataFrame":
        """Return step, steps and everything that was measured, in order of steps; NaN where it was not or was NaN.

        Of a long run every n-th step is returned, so that about `most` rows come back, and all steps with a dev score
        or with a loss that is no finite number; the last step always.
        """
        with self._database.read() as cursor:
            return cursor.execute(
                "WITH run AS (SELECT * EXCLUDE (run_id), count(*) OVER () // $most + 1 AS every, max(step) OVER () "
                "  AS last FROM train_steps WHERE run_id = $run_id) "
                "SELECT * EXCLUDE (every, last) FROM run WHERE step % every = 0 OR step = last "
                "  OR dev_score IS NOT NULL OR NOT isfinite(loss) ORDER BY step",
                {"run_id": run_id, "most": most},
            ).df()

    def list(self) -> "pd.DataFrame":
        """Return run_id, title, state, step, steps, loss, dev_score, best_dev_score, created_at, newest run first."""
        with self._database.read() as cursor:
            return cursor.execute(
                "SELECT job_id AS run_id, title, state, step, steps, loss, dev_score, best_dev_score, "
                "  created_at, finished_at "
                "FROM jobs LEFT JOIN (SELECT run_id, max(step) AS step, any_value(steps) AS steps, "
                "  arg_max(loss, step) AS loss, arg_max(dev_score, step) AS dev_score, "
                "  max(dev_score) AS best_dev_score "
                "  FROM train_steps GROUP BY run_id) ON run_id = job_id WHERE kind = 'train' ORDER BY job_id DESC"
            ).df()

    def rates(self) -> "pd.DataFrame":
        """Return run_id, median triplets_per_s, most memory_mb and gpu_memory_mb of runs with steps, newest first."""
        with self._database.read() as cursor:
            return cursor.execute(
                "SELECT run_id, median(triplets_per_s) AS triplets_per_s, max(memory_mb) AS memory_mb, "
                "  max(gpu_memory_mb) AS gpu_memory_mb FROM train_steps GROUP BY run_id ORDER BY run_id DESC"
            ).df()


def _merged(rows: Rows) -> Rows:
    """Give the first row of each step the first dev score reported for it, as the database does across batches."""
    merged: dict[tuple[object, object], Row] = {}
    for row in rows:
        first = merged.setdefault((str(row.get("run_id")), str(row.get("step"))), row)
        if first.get("dev_score") is None and row.get("dev_score") is not None:
            merged[str(row.get("run_id")), str(row.get("step"))] = first | {"dev_score": row["dev_score"]}
    return list(merged.values())
