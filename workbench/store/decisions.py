"""People's decisions: logged and fsynced first, then stored; undone and redone by appending, never by deleting."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any, Final, Literal, get_args

import pyarrow as pa

from pipeline.records import InputError
from workbench.journal import Rows, append_rows, new_id, now
from workbench.store.connection import Cursor, Database, Frame, run
from workbench.store.decision_log import insert_batches, line
from workbench.store.filters import TripletFilter, attempts_clause, ids_clause, source_and_conditions
from workbench.store.journals import Journals

Action = Literal["accept", "reject", "swap", "edit", "reset"]
BULK_ACTIONS: Final[tuple[Action, ...]] = ("accept", "reject", "swap", "reset")
"""Decisions that can be made on many triplets at once."""
ADJUDICATED: Final = "adjudicated"
"""Reason of a decision that settles a disagreement: it is the outcome, not an annotation of its own."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A person's decision on one triplet; only an edit needs texts."""

    triplet_id: str
    action: Action
    positive: str | None = None
    hard_negative: str | None = None
    annotator: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts of a triplet now and as generated; they differ only because of a decision."""

    positive: str
    hard_negative: str
    generated: tuple[str, str]
    is_changed: bool


def after(decision: Decision, texts: Texts) -> Texts:
    """Return the texts of the triplet after this decision."""
    if decision.action == "swap":
        return replace(texts, positive=texts.hard_negative, hard_negative=texts.positive, is_changed=True)
    if decision.action == "reset":
        positive, hard_negative = texts.generated
        return replace(texts, positive=positive, hard_negative=hard_negative, is_changed=False)
    if decision.action == "edit":
        positive = texts.positive if decision.positive is None else decision.positive.strip()
        hard_negative = texts.hard_negative if decision.hard_negative is None else decision.hard_negative.strip()
        if not positive or not hard_negative:
            raise InputError(f"An edit of triplet {decision.triplet_id} needs both texts; one is empty.")
        return replace(texts, positive=positive, hard_negative=hard_negative, is_changed=True)
    if decision.action not in get_args(Action):
        raise InputError(f"{decision.action!r} is not a decision; choose one of {', '.join(get_args(Action))}.")
    return texts


def matching(database: Database, chosen: TripletFilter, action: Action) -> dict[str, Any]:
    """Return columns of the decision that every triplet of the filter gets."""
    source, conditions, parameters = source_and_conditions(chosen, with_decisions=True)
    texts = {
        "swap": "coalesce(d.hard_negative, t.hard_negative), coalesce(d.positive, t.positive)",
        "reset": "NULL, NULL",
    }.get(action, "d.positive, d.hard_negative")
    found = f"SELECT t.triplet_id, {texts} FROM {source} WHERE {conditions} ORDER BY t.rowid"
    with database.read() as cursor:
        table = cursor.sql(found, params=parameters).to_arrow_table()
    ids, *sides = table.columns
    positive, hard_negative = (None if side.null_count == len(side) else side.to_pylist() for side in sides)
    return {"triplet_id": ids.to_pylist(), "action": action, "positive": positive, "hard_negative": hard_negative}


def resolved(database: Database, decisions: Sequence[Decision], *, blind: Collection[str]) -> dict[str, Any]:
    """Return columns of these decisions, each applied to the texts its triplet has by then; see Decisions.append."""
    texts = _texts(database, [decision.triplet_id for decision in decisions], blind=blind)
    positives: list[str | None] = []
    hard_negatives: list[str | None] = []
    for decision in decisions:
        if decision.triplet_id not in texts:
            raise InputError(f"There is no triplet {decision.triplet_id}; it may belong to another workspace.")
        now_texts = texts[decision.triplet_id] = after(decision, texts[decision.triplet_id])
        positives.append(now_texts.positive if now_texts.is_changed else None)
        hard_negatives.append(now_texts.hard_negative if now_texts.is_changed else None)
    return {
        "triplet_id": [decision.triplet_id for decision in decisions],
        "action": [decision.action for decision in decisions],
        "positive": positives,
        "hard_negative": hard_negatives,
        "reason": [decision.reason for decision in decisions],
    }


def _texts(database: Database, triplet_ids: list[str], *, blind: Collection[str]) -> dict[str, Texts]:
    with database.read() as cursor:
        rows = run(
            cursor,
            "SELECT t.triplet_id, t.positive, t.hard_negative, d.positive, d.hard_negative FROM triplets AS t "
            "LEFT JOIN decided AS d ON d.triplet_id = t.triplet_id "
            "WHERE t.triplet_id IN (SELECT unnest(?::VARCHAR[]))",
            [triplet_ids],
        )
    known: dict[str, Texts] = {}
    for triplet_id, positive, hard_negative, *decided in rows:
        generated = (positive or "", hard_negative or "")
        is_changed = decided[0] is not None and triplet_id not in blind
        positive_now, hard_negative_now = decided if is_changed else generated
        known[triplet_id] = Texts(positive_now, hard_negative_now, generated=generated, is_changed=is_changed)
    return known


IN_FORCE = """
    taken_back AS (SELECT reverts AS batch_id FROM decision_batches WHERE reverts IS NOT NULL
        AND batch_id NOT IN (SELECT reverts FROM decision_batches WHERE reverts IS NOT NULL)),
    in_force AS (SELECT batch_id, annotator, first_sequence FROM decision_batches WHERE reverts IS NULL
        AND batch_id NOT IN (SELECT batch_id FROM taken_back))
"""
"""Batches in force. An undo is a batch that reverts a batch of decisions; a redo is one that reverts an undo."""
LAST_IN_FORCE = f"""
    WITH {IN_FORCE} SELECT batch_id, batch_id FROM in_force WHERE annotator = $annotator
    ORDER BY first_sequence DESC LIMIT 1
"""
LAST_UNDO = f"""
    WITH {IN_FORCE}, made AS (SELECT coalesce(max(first_sequence), 0) AS last FROM decision_batches
        WHERE annotator = $annotator AND reverts IS NULL)
    SELECT undo.batch_id, undo.reverts FROM decision_batches AS undo
    JOIN decision_batches AS undone ON undone.batch_id = undo.reverts AND undone.reverts IS NULL
    WHERE undo.annotator = $annotator AND undo.first_sequence > (SELECT last FROM made)
        AND undo.batch_id NOT IN (SELECT batch_id FROM taken_back)
    ORDER BY undo.first_sequence DESC LIMIT 1
"""
STATES = f"""
    WITH {IN_FORCE},
    touched AS (SELECT DISTINCT triplet_id FROM decisions WHERE batch_id = $batch),
    mine AS (SELECT triplet_id, max(sequence) AS sequence FROM decisions WHERE batch_id = $batch GROUP BY triplet_id),
    others AS (SELECT triplet_id, max(sequence) AS sequence FROM decisions SEMI JOIN touched USING (triplet_id)
        WHERE batch_id <> $batch AND batch_id IN (SELECT batch_id FROM in_force) GROUP BY triplet_id)
    SELECT mine.triplet_id, coalesce(s.action, 'reset'), s.positive, s.hard_negative, coalesce(s.reason, ''),
        coalesce(b.annotator, $annotator)
    FROM mine LEFT JOIN others USING (triplet_id)
    LEFT JOIN decisions AS s ON s.sequence = CASE WHEN $back THEN others.sequence ELSE mine.sequence END
    LEFT JOIN decision_batches AS b ON b.batch_id = s.batch_id
    WHERE others.sequence IS NULL OR mine.sequence > others.sequence ORDER BY mine.sequence
"""
"""The states that the triplets of a batch get when it is undone or redone: those that nobody decided later."""
STATE_COLUMNS = ("triplet_id", "action", "positive", "hard_negative", "reason", "decided_by")


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

        blind: triplets that the annotator saw as generated, without others' changes; decisions apply to those texts.
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
        """Decide every triplet that matches as one batch; return its id and the number of triplets.

        expected: the number that was shown; if a different number matches now, nothing is kept (InputError).
        """
        if action not in BULK_ACTIONS:
            raise InputError(f"{action} cannot be done in bulk; choose one of {', '.join(BULK_ACTIONS)}.")
        with self._lock:
            self._catch_up()
            table = matching(self._database, chosen, action)
            count = len(table["triplet_id"])
            if expected is not None and count != expected:
                raise InputError(
                    f"{expected:,} triplets were shown and {count:,} match now: look again before you decide."
                )
            if not count:
                raise InputError("No triplet matches this filter; there is nothing to decide.")
            return self._append(table | {"reason": reason}, annotator=annotator, reverts=None), count

    def undo(self, annotator: str) -> str | None:
        """Undo the annotator's last batch in force; return its id, or None if there is none.

        A triplet that somebody else decided later keeps that later decision.
        """
        return self._revert(annotator, LAST_IN_FORCE, back=True)

    def redo(self, annotator: str) -> str | None:
        """Put the annotator's last undone batch in force again; None if none was undone since their last decision."""
        return self._revert(annotator, LAST_UNDO, back=False)

    def latest(self, triplet_ids: Sequence[str] | None = None) -> Frame:
        """Return the decision in force of every triplet that has one, or of those among these."""
        clause, values = ids_clause(triplet_ids)
        return self._database.frame(
            "SELECT triplet_id, action, positive, hard_negative, annotator, reason, created_at FROM decided "
            f"WHERE action <> 'reset' AND {clause} ORDER BY sequence",
            values,
        )

    def rejected(self, triplet_ids: Sequence[str]) -> set[str]:
        """Return those of these triplets that are rejected now."""
        rows = self._database.rows(
            "SELECT triplet_id FROM decided WHERE action = 'reject' AND triplet_id IN (SELECT unnest(?::VARCHAR[]))",
            [list(triplet_ids)],
        )
        return {triplet_id for (triplet_id,) in rows}

    def history(self, triplet_id: str) -> Frame:
        """Return every decision on one triplet, oldest first; `step` says decision, undo or redo."""
        return self._database.frame(
            "SELECT d.*, CASE WHEN d.reverts IS NULL THEN 'decision' WHEN b.reverts IS NULL THEN 'undo' "
            "ELSE 'redo' END AS step FROM decisions AS d "
            "LEFT JOIN decision_batches AS b ON b.batch_id = d.reverts "
            "WHERE d.triplet_id = ? ORDER BY d.sequence",
            [triplet_id],
        )

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
        rows = self._database.rows(
            "SELECT coalesce(nullif(d.action, 'reset'), 'undecided') AS state, count(*) FROM triplets AS t "
            f"LEFT JOIN decided AS d ON d.triplet_id = t.triplet_id WHERE {clause} GROUP BY state",
            parameters,
            kept=True,
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
                states = cursor.sql(STATES, params={"batch": batch_id, "annotator": annotator, "back": back})
                columns = zip(STATE_COLUMNS, states.to_arrow_table().columns, strict=True)
                table = {name: _as_logged(name, values) for name, values in columns}
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
        append_rows(self._log, [line(batch, table)])
        self._catch_up()
        return str(batch["batch_id"])

    def _catch_up(self) -> int:
        if not self._journals.is_behind("decisions", self._log):
            return 0
        return self._journals.ingest_all("decisions", self._log)

    def _next_sequence(self) -> int:
        """Number after every one given out; a batch that changed nothing has used up one as well."""
        return int(
            self._database.rows("SELECT coalesce(max(first_sequence + greatest(rows, 1)), 1) FROM decision_batches")[
                0
            ][0]
        )


def _as_logged(name: str, values: pa.ChunkedArray) -> Any:
    """Return a column of a batch: the one value where all are alike, which a million undone decisions mostly are."""
    if name != "triplet_id" and len(values) and len(alike := values.unique()) == 1:
        return alike[0].as_py()
    return values.to_pylist()


ANNOTATIONS: Final = f"""
    WITH {IN_FORCE} SELECT d.triplet_id, d.annotator, arg_max(d.action, d.sequence) AS action,
        max(d.sequence) AS sequence
    FROM decisions AS d JOIN in_force USING (batch_id)
    WHERE coalesce(d.reason, '') <> '{ADJUDICATED}' GROUP BY d.triplet_id, d.annotator
    HAVING arg_max(d.action, d.sequence) <> 'reset'
"""


class Annotations:
    """Each annotator's decisions in force."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, attempt_ids: Sequence[str] = ()) -> Frame:
        """Return triplet_id, annotator, action, in the order in which they were given."""
        clause, parameters = attempts_clause(attempt_ids, "t.attempt_id")
        return self._database.frame(
            f"SELECT triplet_id, annotator, action FROM ({ANNOTATIONS}) SEMI JOIN "
            f"(SELECT triplet_id FROM triplets AS t WHERE {clause}) USING (triplet_id) ORDER BY sequence",
            parameters,
        )

    def disputed(self, attempt_ids: Sequence[str] = ()) -> list[str]:
        """Return the triplets on which annotators disagree and that nobody has settled."""
        clause, parameters = attempts_clause(attempt_ids, "t.attempt_id")
        rows = self._database.rows(
            f"SELECT triplet_id FROM ({ANNOTATIONS}) "
            f"SEMI JOIN (SELECT triplet_id FROM triplets AS t WHERE {clause}) "
            "USING (triplet_id) WHERE triplet_id NOT IN (SELECT triplet_id FROM decided WHERE reason = ? "
            "AND action <> 'reset') GROUP BY triplet_id HAVING count(DISTINCT action) > 1 ORDER BY max(sequence)",
            [*parameters, ADJUDICATED],
        )
        return [triplet_id for (triplet_id,) in rows]
