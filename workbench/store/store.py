"""The store: one database file, the numbered steps of its schema, and a table object per table.

Append-only tables, no foreign keys; a primary key only where ON CONFLICT needs one, and one secondary index.
Times are ISO 8601 text in UTC: they sort, and they are JSON as they are.
"""

from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from pipeline.records import InputError
from workbench.journal import Rows
from workbench.store.connection import Database, copy_database, run
from workbench.store.curation import FinalSets, Funnels
from workbench.store.decisions import Annotations, Decisions
from workbench.store.journals import Journals, Table, columns, insert, schema_of
from workbench.store.judgements import Calibrations, Judgements
from workbench.store.models import Encoders, LLMs, LLMUsage, Projections, Runs, Scores
from workbench.store.premises import Imports, PremiseAttempts, Premises
from workbench.store.snapshots import Snapshots
from workbench.store.triplet_blocks import TripletBlocks
from workbench.store.triplets import Triplets

_SCHEMA = schema_of(
    ("job_id", "kind", "title", "state", "message", "spec", "created_at", "started_at", "finished_at"),
    counts=("done", "total"),
)


class Jobs:
    """The table of jobs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def mirror(self, rows: Rows) -> None:
        """Insert or update these jobs in one transaction."""
        incoming = pa.Table.from_pylist(rows, schema=_SCHEMA)
        changed = ", ".join(f"{name} = excluded.{name}" for name in _SCHEMA.names[1:])
        with self._database.write(("jobs",)) as cursor:
            insert(
                cursor,
                incoming,
                f"INSERT INTO jobs ({columns(incoming)}) SELECT {columns(incoming)} FROM incoming "
                f"ON CONFLICT (job_id) DO UPDATE SET {changed}",
            )


_OVERVIEW = """
    SELECT
        (SELECT count(*) FROM imports WHERE kind = 'corpus') AS corpora,
        (SELECT count(*) FROM premises) AS premises,
        (SELECT count(*) FROM triplets) AS triplets,
        (SELECT count(*) FROM triplets WHERE positive_outcome = 'ok' AND hard_negative_outcome = 'ok') AS ok_triplets,
        (SELECT count(*) FROM judgements) AS judgements,
        (SELECT count(*) FROM decided WHERE action <> 'reset') AS decided,
        (SELECT count(*) FROM snapshots) AS snapshots,
        (SELECT count(*) FROM jobs WHERE kind = 'train') AS runs,
        (SELECT count(*) FROM encoders) AS encoders,
        (SELECT count(DISTINCT encoder_id) FROM scores) AS scored_encoders,
        (SELECT count(*) FROM projections) AS projections
"""


class Store:
    """Everything the workbench remembers. The files of a workspace lie beside the database file."""

    def __init__(self, path: Path, *, root: Path | None = None) -> None:
        """Open or create the database at `path`; journals, imports and snapshots lie in `root`."""
        root = root or path.parent
        path.parent.mkdir(parents=True, exist_ok=True)
        self.root = root
        self.database = Database(path)
        with self.database.opening():
            migrate(self.database)
        self.journals = Journals(self.database)
        self.imports = Imports(self.database, root / "imports", self.journals)
        self.premises = Premises(self.database, self.imports)
        self.premise_attempts = PremiseAttempts(self.database)
        self.triplets = Triplets(self.database, self.imports)
        self.judgements = Judgements(self.database)
        self.decisions = Decisions(self.database, self.journals, root / "decisions.jsonl")
        self.calibrations = Calibrations(self.database)
        self.funnels = Funnels(self.database)
        self.final_sets = FinalSets(self.database)
        self.annotations = Annotations(self.database)
        self.snapshots = Snapshots(self.database, root / "snapshots")
        self.runs = Runs(self.database)
        self.encoders = Encoders(self.database)
        self.scores = Scores(self.database)
        self.projections = Projections(self.database)
        self.llms = LLMs(self.database, self.imports)
        self.llm_usage = LLMUsage(self.database)
        self.jobs = Jobs(self.database)
        for table in vars(self).values():
            if isinstance(table, Table):
                self.journals.register(table.name, table)
        self.journals.register("triplet_blocks", TripletBlocks())
        self.journals.register("decisions", self.decisions)
        with self.database.opening():
            self.catch_up()

    def catch_up(self) -> None:
        """Store decisions, imports and snapshots that reached the disk but not the database."""
        self.decisions.catch_up()
        self.imports.catch_up()
        self.snapshots.catch_up()

    def overview(self) -> dict[str, int]:
        """Return the counts that the home page shows, in one query."""
        [counts] = self.database.records(_OVERVIEW, kept=True)
        return counts

    def backup(self, target: Path) -> Path:
        """Write a copy of the database to `target` while work goes on; return its path."""
        return copy_database(self.database, target)

    def counts(self) -> dict[str, int]:
        """Return the number of rows of every table."""
        with self.database.read() as cursor:
            names = [name for (name,) in run(cursor, "SELECT table_name FROM duckdb_tables() ORDER BY table_name")]
            return {name: int(run(cursor, f'SELECT count(*) FROM "{name}"')[0][0]) for name in names}

    def close(self) -> None:
        """Close the database file."""
        self.database.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


MIGRATIONS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    (
        "first tables",
        (
            """CREATE TABLE ingested (
                source VARCHAR PRIMARY KEY, position BIGINT, tail VARCHAR, rejected BIGINT, unknown VARCHAR)""",
            """CREATE TABLE imports (
                import_id VARCHAR PRIMARY KEY, kind VARCHAR, name VARCHAR, source VARCHAR, duplicates BIGINT,
                rejected VARCHAR, created_at VARCHAR)""",
            """CREATE TABLE premises (
                corpus_id VARCHAR, position BIGINT, premise_id VARCHAR, text VARCHAR,
                PRIMARY KEY (corpus_id, position))""",
            """CREATE TABLE triplets (
                triplet_id VARCHAR PRIMARY KEY, attempt_id VARCHAR, premise_id VARCHAR, premise VARCHAR,
                positive VARCHAR, hard_negative VARCHAR, positive_raw VARCHAR, hard_negative_raw VARCHAR,
                positive_outcome VARCHAR, hard_negative_outcome VARCHAR, contrast VARCHAR, omega DOUBLE,
                seed BIGINT, llm VARCHAR, prompt_set VARCHAR, tokens BIGINT, origin VARCHAR)""",
            """CREATE TABLE judgements (
                triplet_id VARCHAR, judge_id VARCHAR, attempt_id VARCHAR, calibration VARCHAR, a_raw DOUBLE,
                b_raw DOUBLE, a DOUBLE, b DOUBLE, source VARCHAR, PRIMARY KEY (triplet_id, judge_id))""",
            """CREATE TABLE decisions (
                sequence BIGINT PRIMARY KEY, batch_id VARCHAR, triplet_id VARCHAR, action VARCHAR, positive VARCHAR,
                hard_negative VARCHAR, annotator VARCHAR, reason VARCHAR, created_at VARCHAR, reverts VARCHAR)""",
            """CREATE TABLE snapshots (
                snapshot_id VARCHAR PRIMARY KEY, name VARCHAR, attempt_ids VARCHAR, judge_id VARCHAR,
                rule VARCHAR, rows BIGINT, file VARCHAR, sha256 VARCHAR, created_at VARCHAR)""",
            """CREATE TABLE train_steps (
                run_id VARCHAR, step BIGINT, steps BIGINT, loss DOUBLE, learning_rate DOUBLE, masked_share DOUBLE,
                triplets_per_s DOUBLE, dev_score DOUBLE, PRIMARY KEY (run_id, step))""",
            """CREATE TABLE encoders (
                encoder_id VARCHAR PRIMARY KEY, name VARCHAR, folder VARCHAR, run_id VARCHAR,
                snapshot_id VARCHAR, base VARCHAR, created_at VARCHAR)""",
            """CREATE TABLE scores (
                encoder_id VARCHAR, task VARCHAR, spearman DOUBLE, accuracy DOUBLE, pairs BIGINT, job_id VARCHAR,
                PRIMARY KEY (encoder_id, task, job_id))""",
            """CREATE TABLE projections (
                projection_id VARCHAR PRIMARY KEY, encoder_id VARCHAR, corpus VARCHAR, method VARCHAR,
                path VARCHAR, trustworthiness DOUBLE, neighbour_recall DOUBLE, points BIGINT)""",
            """CREATE TABLE jobs (
                job_id VARCHAR PRIMARY KEY, kind VARCHAR, title VARCHAR, state VARCHAR, done BIGINT, total BIGINT,
                message VARCHAR, spec VARCHAR, created_at VARCHAR, started_at VARCHAR, finished_at VARCHAR)""",
        ),
    ),
    (
        "batches of decisions, and the state they leave",
        (
            """CREATE TABLE decision_batches (
                batch_id VARCHAR, first_sequence BIGINT, rows BIGINT, annotator VARCHAR, created_at VARCHAR,
                reverts VARCHAR)""",
            """INSERT INTO decision_batches
                SELECT batch_id, min(sequence), count(*), any_value(annotator), any_value(created_at),
                    any_value(reverts)
                FROM decisions GROUP BY batch_id ORDER BY min(sequence)""",
            """CREATE TABLE decided (
                triplet_id VARCHAR, sequence BIGINT, action VARCHAR, positive VARCHAR, hard_negative VARCHAR,
                annotator VARCHAR, reason VARCHAR, created_at VARCHAR)""",
            """INSERT INTO decided
                SELECT triplet_id, sequence, action, positive, hard_negative, annotator, reason, created_at
                FROM decisions SEMI JOIN (SELECT triplet_id, max(sequence) AS sequence FROM decisions GROUP BY ALL)
                USING (triplet_id, sequence) ORDER BY sequence""",
        ),
    ),
    ("retrieval scores", ("ALTER TABLE scores ADD COLUMN ndcg DOUBLE",)),
    (
        "sentences in lower case, for search",
        (
            "ALTER TABLE triplets ADD COLUMN search VARCHAR",
            "UPDATE triplets SET search = lower(concat_ws(chr(31), premise, positive, hard_negative))",
        ),
    ),
    ("what a snapshot was made from", ("ALTER TABLE snapshots ADD COLUMN details VARCHAR",)),
    (
        "what more a training step tells",
        tuple(
            f"ALTER TABLE train_steps ADD COLUMN {name} DOUBLE"
            for name in (
                *("info_nce", "masked_positives", "masked_hard_negatives", "masked_own"),
                *("memory_mb", "gpu_memory_mb", "gpu_use"),
            )
        ),
    ),
    (
        "registry of LLMs",
        (
            """CREATE TABLE llms (
                check_id VARCHAR PRIMARY KEY, name VARCHAR, entry VARCHAR, state VARCHAR, message VARCHAR,
                contrast VARCHAR, sample VARCHAR, checked_at VARCHAR, context_length BIGINT, tokens_per_s DOUBLE,
                load_s DOUBLE)""",
        ),
    ),
    (
        "what servers charged for",
        (
            """CREATE TABLE llm_usage (
                attempt_id VARCHAR, number BIGINT, calls BIGINT, prompt_tokens BIGINT, reply_tokens BIGINT,
                money DOUBLE, PRIMARY KEY (attempt_id, number))""",
        ),
    ),
    (
        "calibrations of judges",
        (
            """CREATE TABLE calibrations (
                version VARCHAR PRIMARY KEY, judge_id VARCHAR, created_at VARCHAR, source VARCHAR, fields VARCHAR,
                points VARCHAR, ensemble VARCHAR)""",
        ),
    ),
    (
        "attempts at premises from scratch",
        (
            """CREATE TABLE premise_attempts (
                corpus_id VARCHAR, topic VARCHAR, genre VARCHAR, asked VARCHAR, number BIGINT, length VARCHAR,
                text VARCHAR, outcome VARCHAR, reason VARCHAR,
                PRIMARY KEY (corpus_id, topic, genre, asked, number))""",
        ),
    ),
    ("what an import holds, to know it again", ("ALTER TABLE imports ADD COLUMN digest VARCHAR",)),
    ("scores of a triplet by its id", ("CREATE INDEX judgements_of ON judgements (triplet_id)",)),
)


def migrate(database: Database) -> int:
    """Bring the schema up to date and return its number; a newer schema than ours is an InputError."""
    with database.write() as cursor:
        run(cursor, "CREATE TABLE IF NOT EXISTS migrations (number BIGINT, name VARCHAR)")
        [(applied,)] = run(cursor, "SELECT coalesce(max(number), 0) FROM migrations")
    if applied > len(MIGRATIONS):
        raise InputError(
            f"The workspace {database.path.parent} has schema {applied} and this version knows {len(MIGRATIONS)}; "
            "update the workbench."
        )
    due = list(enumerate(MIGRATIONS, start=1))[applied:]
    for group in [[step] for step in due] if applied else [due]:  # a new file takes them at once
        with database.write() as cursor:
            for number, (name, statements) in group:
                for statement in statements:
                    run(cursor, statement)
                run(cursor, "INSERT INTO migrations VALUES (?, ?)", [number, name])
        with database.exclusive() as cursor:
            run(cursor, "CHECKPOINT")  # no schema change is ever left to be replayed from the log
    return len(MIGRATIONS)
