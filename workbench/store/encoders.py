"""Encoders that were trained or evaluated here."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.evaluation.benchmark import HELD_OUT_TASK
from pipeline.records import InputError
from workbench.journal import Row, Rows
from workbench.store.connection import Cursor, Database, run
from workbench.store.journals import COUNT, REAL, TEXT, checked, insert, insert_new

if TYPE_CHECKING:
    import pandas as pd


_NAMES = ("encoder_id", "name", "folder", "run_id", "snapshot_id", "base", "created_at")
_SCHEMA = pa.schema([(name, TEXT) for name in _NAMES])


@dataclass(frozen=True, slots=True)
class StoredEncoder:
    """One encoder: where its files lie and what it came from."""

    encoder_id: str
    name: str
    folder: str
    run_id: str | None
    snapshot_id: str | None
    base: str | None
    created_at: str | None


EncoderList = list[StoredEncoder]


class Encoders:
    """The table of encoders."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, cursor: Cursor, rows: Rows) -> int:
        """Insert encoders; one whose id is already there is left as it was."""
        table, rejected = checked(rows, _SCHEMA, ["encoder_id"])
        insert_new(cursor, "encoders", table)
        return rejected

    def list(self) -> EncoderList:
        """Return every encoder, newest first."""
        with self._database.read() as cursor:
            rows = run(
                cursor, f"SELECT {', '.join(_NAMES)} FROM encoders ORDER BY created_at DESC NULLS LAST, encoder_id"
            )
        return [StoredEncoder(*row) for row in rows]

    def get(self, encoder_id: str) -> StoredEncoder:
        """Return one encoder; an unknown id is an InputError."""
        with self._database.read() as cursor:
            rows = run(cursor, f"SELECT {', '.join(_NAMES)} FROM encoders WHERE encoder_id = ?", [encoder_id])
        if not rows:
            raise InputError(f"There is no encoder {encoder_id}; train or evaluate one first.")
        return StoredEncoder(*rows[0])


_SCHEMA_PROJECTIONS = pa.schema(
    [(name, TEXT) for name in ("projection_id", "encoder_id", "corpus", "method", "path")]
    + [("trustworthiness", REAL), ("neighbour_recall", REAL), ("points", COUNT)]
)


class Projections:
    """The table of projections."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, cursor: Cursor, rows: Rows) -> int:
        """Insert projections; one whose id is already there is left as it was."""
        table, rejected = checked(rows, _SCHEMA_PROJECTIONS, ["projection_id"])
        insert_new(cursor, "projections", table)
        return rejected

    def list(self) -> "pd.DataFrame":
        """Return every projection, newest first."""
        with self._database.read() as cursor:
            return cursor.execute("SELECT * FROM projections ORDER BY projection_id DESC").df()


_MEASURED = (
    *("loss", "info_nce", "learning_rate"),
    *("masked_share", "masked_positives", "masked_hard_negatives", "masked_own"),
    *("triplets_per_s", "memory_mb", "gpu_memory_mb", "gpu_use", "dev_score"),
)
_SCHEMA_RUNS = pa.schema([("run_id", TEXT), ("step", COUNT), ("steps", COUNT)] + [(name, REAL) for name in _MEASURED])
_COLUMNS = ", ".join(_SCHEMA_RUNS.names)


class Runs:
    """The table train_steps, joined with jobs for titles and states."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, cursor: Cursor, rows: Rows) -> int:
        """Insert steps. A resumed run repeats some: the first row stays, a dev score measured later is added."""
        table, rejected = checked(_merged(rows), _SCHEMA_RUNS, ["run_id", "step"])
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


_SCHEMA_SCORES = pa.schema(
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
        table, rejected = checked(rows, _SCHEMA_SCORES, ["encoder_id", "task", "job_id"])
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
