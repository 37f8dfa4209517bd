"""Scores of encoders on evaluation tasks."""

from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.evaluation.held_out import HELD_OUT_TASK
from workbench.journal import Rows
from workbench.store.connection import Cursor, Database
from workbench.store.rows import COUNT, REAL, TEXT, checked, insert_new

if TYPE_CHECKING:
    import pandas as pd

_SCHEMA = pa.schema(
    [("encoder_id", TEXT), ("task", TEXT)]
    + [(name, REAL) for name in ("spearman", "accuracy", "ndcg")]
    + [("pairs", COUNT), ("job_id", TEXT)]
)


class Scores:
    """The table of scores. Spearman is a fraction; it is multiplied by 100 only on screen."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, cursor: Cursor, rows: Rows) -> int:
        """Insert scores; one job gives one score per encoder and task."""
        table, rejected = checked(rows, _SCHEMA, ["encoder_id", "task", "job_id"])
        insert_new(cursor, "scores", table)
        return rejected

    def matrix(self) -> "pd.DataFrame":
        """Return encoder_id, task, spearman, pairs, job_id: the latest job's score of every encoder and task."""
        with self._database.read() as cursor:
            return cursor.execute(
                "SELECT encoder_id, task, arg_max(spearman, job_id) AS spearman, arg_max(pairs, job_id) AS pairs, "
                "max(job_id) AS job_id "
                "FROM scores WHERE spearman IS NOT NULL AND NOT isnan(spearman) "
                "GROUP BY encoder_id, task ORDER BY encoder_id, task"
            ).df()

    def transfer(self) -> "pd.DataFrame":
        """Return encoder_id, task, accuracy, examples, job_id: the latest job's accuracy on each transfer task."""
        with self._database.read() as cursor:
            return cursor.execute(
                "SELECT encoder_id, task, arg_max(accuracy, job_id) AS accuracy, arg_max(pairs, job_id) AS examples, "
                "max(job_id) AS job_id FROM scores WHERE accuracy IS NOT NULL AND task <> ? "
                "GROUP BY encoder_id, task ORDER BY encoder_id, task",
                [HELD_OUT_TASK],
            ).df()

    def retrieval(self) -> "pd.DataFrame":
        """Return encoder_id, task, ndcg (at 10), queries, job_id: the latest job's score of each retrieval task."""
        with self._database.read() as cursor:
            return cursor.execute(
                "SELECT encoder_id, task, arg_max(ndcg, job_id) AS ndcg, arg_max(pairs, job_id) AS queries, "
                "max(job_id) AS job_id FROM scores WHERE ndcg IS NOT NULL GROUP BY encoder_id, task "
                "ORDER BY encoder_id, task"
            ).df()

    def held_out(self) -> "pd.DataFrame":
        """Return encoder_id, accuracy, triplets: the latest share of held-out triplets each encoder orders right."""
        with self._database.read() as cursor:
            return cursor.execute(
                "SELECT encoder_id, arg_max(accuracy, job_id) AS accuracy, arg_max(pairs, job_id) AS triplets "
                "FROM scores WHERE accuracy IS NOT NULL AND task = ? GROUP BY encoder_id ORDER BY encoder_id",
                [HELD_OUT_TASK],
            ).df()
