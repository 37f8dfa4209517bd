"""Human decisions: logged and fsynced first, then stored; undone and redone by appending, never by deleting."""

from collections.abc import Collection, Sequence
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from pipeline.errors import InputError
from workbench.ids import new_id, now
from workbench.journal import Journal, Rows
from workbench.store.connection import Cursor, Database, run
from workbench.store.decision import BULK_ACTIONS, Action, Decision
from workbench.store.decision_log import insert_batches, line
from workbench.store.decision_tables import matching, resolved
from workbench.store.filters import TripletFilter, attempts_clause
from workbench.store.journals import Journals
from workbench.store.standing import LAST_STANDING, LAST_UNDO, STATE_COLUMNS, STATES

if TYPE_CHECKING:
    import pandas as pd


class Decisions:
    """The decision log and its tables. A stored decision carries the whole state it leaves its triplet in."""

    def __init__(self, database: Database, journals: Journals, log: Path) -> None:
        self._database = database
        self._journals = journals
        self._log = log
        self._lock = Lock()

    def insert(self, cursor: Cursor, rows: Rows) -> int:
        """Insert logged batches; what is already there is left as it was."""
        return insert_batches(cursor, rows)

    def catch_up(self) -> int:
        """Store logged decisions that the database lacks, for example after a kill between log and commit."""
        with self._lock:
            return self._catch_up()

    def append(self, decisions: Sequence[Decision], *, blind: Collection[str] = ()) -> str:
        """Log, then store these decisions as one batch of one annotator; return the batch id.

        blind: the triplets whose generated texts the annotator saw and nobody's changes: decisions build on those.
        An unknown triplet, an unknown action or an empty text is an InputError and nothing is kept.
        """
        if not decisions:
            raise InputError("There is no decision to store; choose at least one triplet.")
        with self._lock:
            self._catch_up()
            table = resolved(self._database, decisions, blind=blind)
            return self._append(table, annotator=decisions[0].annotator, reverts=None)

    def decide_all(
        self, chosen: TripletFilter, action: Action, *, annotator: str, reason: str = "", expected: int | None = None
    ) -> tuple[str, int]:
        """Decide every triplet the filter leaves as one batch; return its id and the number of triplets.

        expected: the number that was shown; when another number matches by now, nothing is kept (InputError).
        """
        if action not in BULK_ACTIONS:
            raise InputError(f"{action} cannot be done in bulk; choose one of {', '.join(BULK_ACTIONS)}.")
        with self._lock:
            self._catch_up()
            table = matching(self._database, chosen, action)
            count = len(table["triplet_id"])
            if expected is not None and count != expected:
                raise InputError(
                    f"{expected:,} triplets were shown and {count:,} match by now: look again, then decide."
                )
            if not count:
                raise InputError("No triplet matches this filter; there is nothing to decide.")
            return self._append(table | {"reason": reason}, annotator=annotator, reverts=None), count

    def undo(self, annotator: str) -> str | None:
        """Take back the annotator's last batch in force; return its id, or None if there is none.

        A triplet that somebody else decided later keeps that later decision.
        """
        return self._revert(annotator, LAST_STANDING, back=True)

    def redo(self, annotator: str) -> str | None:
        """Put the annotator's last undone batch in force again; None if none was undone since their last decision."""
        return self._revert(annotator, LAST_UNDO, back=False)

    def latest(self) -> "pd.DataFrame":
        """Return the decision in force of every triplet that has one."""
        with self._database.read() as cursor:
            return cursor.execute(
                "SELECT triplet_id, action, positive, hard_negative, annotator, reason, created_at FROM decided "
                "WHERE action <> 'reset' ORDER BY sequence"
            ).df()

    def rejected(self, triplet_ids: Sequence[str]) -> set[str]:
        """Return those of these triplets that are rejected now."""
        with self._database.read() as cursor:
            rows = run(
                cursor,
                "SELECT triplet_id FROM decided WHERE action = 'reject' "
                "AND triplet_id IN (SELECT unnest(?::VARCHAR[]))",
                [list(triplet_ids)],
            )
        return {triplet_id for (triplet_id,) in rows}

    def history(self, triplet_id: str) -> "pd.DataFrame":
        """Return every decision on one triplet, oldest first; `step` says decision, undo or redo."""
        with self._database.read() as cursor:
            return cursor.execute(
                "SELECT d.*, CASE WHEN d.reverts IS NULL THEN 'decision' WHEN b.reverts IS NULL THEN 'undo' "
                "ELSE 'redo' END AS step FROM decisions AS d "
                "LEFT JOIN decision_batches AS b ON b.batch_id = d.reverts "
                "WHERE d.triplet_id = ? ORDER BY d.sequence",
                [triplet_id],
            ).df()

    def log_digest(self) -> tuple[int, str]:
        """Return how many bytes the decision log has now, and their sha256: later lines do not change it."""
        digest, size = sha256(), 0
        if self._log.exists():
            with self._log.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
                    size += len(block)
        return size, digest.hexdigest()

    def counts(self, attempt_ids: Sequence[str] = ()) -> dict[str, int]:
        """Return the number of triplets by latest action, and undecided for the rest."""
        clause, parameters = attempts_clause(attempt_ids, "t.attempt_id")
        with self._database.read() as cursor:
            rows = run(
                cursor,
                "SELECT coalesce(nullif(d.action, 'reset'), 'undecided') AS state, count(*) FROM triplets AS t "
                f"LEFT JOIN decided AS d ON d.triplet_id = t.triplet_id WHERE {clause} GROUP BY state",
                parameters,
            )
        return dict(rows)

    def _revert(self, annotator: str, target: str, *, back: bool) -> str | None:
        with self._lock:
            self._catch_up()
            with self._database.read() as cursor:
                found = run(cursor, target, {"annotator": annotator})
                if not found:
                    return None
                reverted, batch_id = found[0]
                states = run(cursor, STATES, {"batch": batch_id, "annotator": annotator, "back": back})
            columns = zip(*states, strict=True) if states else [()] * len(STATE_COLUMNS)
            table = {name: list(values) for name, values in zip(STATE_COLUMNS, columns, strict=True)}
            self._append(table, annotator=annotator, reverts=reverted)
            return str(batch_id)

    def _append(self, table: dict[str, Any], *, annotator: str, reverts: str | None) -> str:
        batch = {
            "batch_id": new_id("decision"),
            "first_sequence": self._next_sequence(),
            "annotator": annotator,
            "created_at": now(),
            "reverts": reverts,
        }
        log = Journal(self._log)
        try:
            log.append([line(batch, table)])
        finally:
            log.close()
        self._catch_up()
        return str(batch["batch_id"])

    def _catch_up(self) -> int:
        if not self._journals.is_behind("decisions", self._log):
            return 0
        return self._journals.ingest_all("decisions", self._log)

    def _next_sequence(self) -> int:
        """Number after every one given out; a batch that changed nothing has used up one as well."""
        with self._database.read() as cursor:
            return int(
                run(
                    cursor,
                    "SELECT coalesce(max(first_sequence + greatest(rows, 1)), 1) FROM decision_batches",
                )[0][0]
            )
