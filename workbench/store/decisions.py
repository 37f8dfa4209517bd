"""Human decisions: logged and fsynced first, then stored; undone by appending, never by deleting."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.errors import InputError
from workbench.jobs.journal import Journal, Rows
from workbench.store.connection import Cursor, Database, run
from workbench.store.decision import Action, Decision, Texts, after
from workbench.store.filters import LATEST, attempts_clause
from workbench.store.imports import new_id, now
from workbench.store.journals import Journals
from workbench.store.rows import COUNT, TEXT, checked, insert_new

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Action", "Decision", "Decisions"]

_SCHEMA = pa.schema(
    [("sequence", COUNT), ("batch_id", TEXT), ("triplet_id", TEXT), ("action", TEXT), ("positive", TEXT)]
    + [(name, TEXT) for name in ("hard_negative", "annotator", "reason", "created_at", "reverts")]
)
_STANDING = """
    WITH standing AS (SELECT * FROM decisions WHERE reverts IS NULL
        AND batch_id NOT IN (SELECT reverts FROM decisions WHERE reverts IS NOT NULL)),
    top AS (SELECT triplet_id, max(sequence) AS sequence FROM standing GROUP BY triplet_id)
"""


class Decisions:
    """The decision log and its table. A stored decision carries the whole state it leaves its triplet in."""

    def __init__(self, database: Database, journals: Journals, log: Path) -> None:
        self._database = database
        self._journals = journals
        self._log = log
        self._lock = Lock()

    def insert(self, cursor: Cursor, rows: Rows) -> int:
        """Insert logged batches; a sequence number already there is left as it was."""
        flat = [
            {name: batch.get(name) for name in ("batch_id", "annotator", "created_at", "reverts")}
            | decision
            | {"sequence": batch["first_sequence"] + offset}
            for batch in rows
            for offset, decision in enumerate(batch["decisions"])
        ]
        table, rejected = checked(flat, _SCHEMA, ["sequence"])
        insert_new(cursor, "decisions", table)
        return rejected

    def catch_up(self) -> int:
        """Store logged decisions that the database lacks, for example after a kill between log and commit."""
        with self._lock:
            return self._catch_up()

    def append(self, decisions: Sequence[Decision]) -> str:
        """Log, then store these decisions as one batch of one annotator; return the batch id.

        An unknown triplet, an unknown action or an empty text is an InputError and nothing is kept.
        """
        if not decisions:
            raise InputError("There is no decision to store; choose at least one triplet.")
        with self._lock:
            self._catch_up()
            resolved = self._resolved(decisions)
            return self._append(resolved, annotator=decisions[0].annotator, reverts=None)

    def undo(self, annotator: str) -> str | None:
        """Take back the annotator's last batch that still stands; return its id, or None if there is none.

        A triplet that somebody else decided later keeps that later decision.
        """
        with self._lock:
            self._catch_up()
            with self._database.read() as cursor:
                batches = run(
                    cursor,
                    f"{_STANDING} SELECT batch_id FROM standing JOIN top USING (triplet_id, sequence) "
                    "WHERE annotator = ? ORDER BY sequence DESC LIMIT 1",
                    [annotator],
                )
                if not batches:
                    return None
                batch_id: str = batches[0][0]
                before = run(
                    cursor,
                    f"{_STANDING} SELECT triplet_id, earlier FROM standing JOIN top USING (triplet_id, sequence) "
                    "LEFT JOIN (SELECT triplet_id, arg_max({action: action, positive: positive, "
                    "hard_negative: hard_negative}, sequence) AS earlier FROM standing WHERE batch_id <> $batch "
                    "GROUP BY triplet_id) USING (triplet_id) WHERE batch_id = $batch ORDER BY triplet_id",
                    {"batch": batch_id},
                )
            nothing = {"action": "reset", "positive": None, "hard_negative": None}
            rows = [{"triplet_id": triplet_id, "reason": "undo"} | (state or nothing) for triplet_id, state in before]
            self._append(rows, annotator=annotator, reverts=batch_id)
            return batch_id

    def latest(self) -> "pd.DataFrame":
        """Return the latest decision of every triplet that has one."""
        with self._database.read() as cursor:
            return cursor.execute(
                "SELECT triplet_id, action, positive, hard_negative, annotator, reason, created_at FROM decisions "
                "JOIN (SELECT triplet_id, max(sequence) AS sequence FROM decisions GROUP BY triplet_id) "
                "USING (triplet_id, sequence) WHERE action <> 'reset' ORDER BY sequence"
            ).df()

    def history(self, triplet_id: str) -> "pd.DataFrame":
        """Return every decision on one triplet, oldest first."""
        with self._database.read() as cursor:
            return cursor.execute("SELECT * FROM decisions WHERE triplet_id = ? ORDER BY sequence", [triplet_id]).df()

    def counts(self, attempt_ids: Sequence[str] = ()) -> dict[str, int]:
        """Return the number of triplets by latest action, and undecided for the rest."""
        clause, parameters = attempts_clause(attempt_ids, "t.attempt_id")
        with self._database.read() as cursor:
            rows = run(
                cursor,
                f"SELECT coalesce(nullif(d.latest.action, 'reset'), 'undecided') AS action, count(*) "
                f"FROM triplets AS t LEFT JOIN ({LATEST}) AS d ON d.triplet_id = t.triplet_id WHERE {clause} "
                "GROUP BY action",
                parameters,
            )
        return dict(rows)

    def _append(self, rows: Rows, *, annotator: str, reverts: str | None) -> str:
        batch = {
            "table": "decisions",
            "batch_id": new_id("decision"),
            "first_sequence": self._next_sequence(),
            "annotator": annotator,
            "created_at": now(),
            "reverts": reverts,
            "decisions": rows,
        }
        log = Journal(self._log)
        try:
            log.append([batch])  # one line, so that a torn batch vanishes as a whole
        finally:
            log.close()
        self._catch_up()
        return str(batch["batch_id"])

    def _catch_up(self) -> int:
        if not self._journals.is_behind("decisions", self._log):
            return 0
        return self._journals.ingest_all("decisions", self._log)

    def _next_sequence(self) -> int:
        with self._database.read() as cursor:
            return int(run(cursor, "SELECT coalesce(max(sequence), 0) + 1 FROM decisions")[0][0])

    def _resolved(self, decisions: Sequence[Decision]) -> Rows:
        texts = self._texts([decision.triplet_id for decision in decisions])
        rows: Rows = []
        for decision in decisions:
            if decision.triplet_id not in texts:
                raise InputError(f"There is no triplet {decision.triplet_id}; it may belong to another workspace.")
            now_texts = texts[decision.triplet_id] = after(decision, texts[decision.triplet_id])
            row = asdict(decision)
            del row["annotator"]
            row["positive"] = now_texts.positive if now_texts.is_changed else None
            row["hard_negative"] = now_texts.hard_negative if now_texts.is_changed else None
            rows.append(row)
        return rows

    def _texts(self, triplet_ids: list[str]) -> dict[str, Texts]:
        with self._database.read() as cursor:
            rows = run(
                cursor,
                f"SELECT t.triplet_id, t.positive, t.hard_negative, d.latest FROM triplets AS t LEFT JOIN ({LATEST}) "
                "AS d ON d.triplet_id = t.triplet_id WHERE t.triplet_id IN (SELECT unnest(?::VARCHAR[]))",
                [triplet_ids],
            )
        known: dict[str, Texts] = {}
        for triplet_id, positive, hard_negative, latest in rows:
            generated = (positive or "", hard_negative or "")
            is_changed = latest is not None and latest["positive"] is not None
            now_texts = (latest["positive"], latest["hard_negative"]) if is_changed else generated
            known[triplet_id] = Texts(*now_texts, generated=generated, is_changed=is_changed)
        return known
