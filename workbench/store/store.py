"""The store: one database file and a table object per table."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from workbench.journal import Rows
from workbench.store.connection import Database, copy_database, records, run
from workbench.store.curation import Annotations, FinalSets, Funnels
from workbench.store.decisions import Decisions
from workbench.store.encoders import Encoders, Projections, Runs, Scores
from workbench.store.journals import Journals, Table, columns, insert, schema_of
from workbench.store.judgements import Calibrations, Judgements
from workbench.store.llms import LLMs, LLMUsage
from workbench.store.migrations import migrate
from workbench.store.premises import Imports, PremiseAttempts, Premises
from workbench.store.snapshots import Snapshots
from workbench.store.triplets import TripletBlocks, Triplets

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
        with self._database.write() as cursor:
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
        self.catch_up()

    def catch_up(self) -> None:
        """Store imports, decisions and snapshots that reached the disk but not the database."""
        self.imports.catch_up()
        self.decisions.catch_up()
        self.snapshots.catch_up()

    def overview(self) -> dict[str, int]:
        """Return the counts that the home page shows, in one query."""
        with self.database.read() as cursor:
            [counts] = records(cursor, _OVERVIEW)
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
