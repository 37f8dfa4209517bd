"""Triplets with scores and decisions joined: the funnel of curation, final sets; frozen snapshots."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.durable import full_disk_message, is_full_disk, write_bytes, write_json
from pipeline.records import InputError, StorageError
from workbench.journal import Row, new_id, now
from workbench.store.connection import Database, Frame
from workbench.store.files import SNAPSHOT_SCHEMA, flat_description, read_descriptions
from workbench.store.filters import KEPT_BY_RULE, Rule, attempts_clause, uncertain_clause
from workbench.store.journals import Table, schema_of

_OK: Final = "t.positive_outcome = 'ok' AND t.hard_negative_outcome = 'ok'"


class Funnels:
    """Counts over triplets with their scores and decisions joined."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def counts(self, attempt_ids: Sequence[str], judge_id: str, rule: Rule) -> dict[str, int]:
        """Return premises, generated, ok, judged, kept, dropped, rescued, changed and final.

        final = kept - dropped + rescued: ok, and accepted by a person or else kept by the rule. All but the first
        three are among the ok ones. dropped: kept, yet not final. rescued: final without the rule.
        """
        clause, parameters = attempts_clause(attempt_ids, "t.attempt_id")
        kept = KEPT_BY_RULE.format(*(f"{float(limit)!r}::DOUBLE" for limit in rule))
        by_person = "coalesce(d.action, 'reset') IN ('accept', 'swap', 'edit')"
        undecided = "coalesce(d.action, 'reset') = 'reset'"
        final = f"({_OK} AND ({by_person} OR ({undecided} AND {kept})))"
        [counts] = self._database.records(
            f"""SELECT least(approx_count_distinct(t.premise_id), count(*)) AS premises, count(*) AS generated,
                    count(*) FILTER ({_OK}) AS ok, count(*) FILTER ({_OK} AND j.a IS NOT NULL) AS judged,
                    count(*) FILTER ({_OK} AND {kept}) AS kept,
                    count(*) FILTER ({_OK} AND {kept} AND NOT {final}) AS dropped,
                    count(*) FILTER ({final} AND NOT coalesce({kept}, false)) AS rescued,
                    count(*) FILTER (d.action IN ('swap', 'edit')) AS changed, count(*) FILTER ({final}) AS final
                FROM triplets AS t
                LEFT JOIN judgements AS j ON j.triplet_id = t.triplet_id AND j.judge_id = ?
                LEFT JOIN decided AS d ON d.triplet_id = t.triplet_id WHERE {clause}""",
            [judge_id, *parameters],
            kept=True,
        )
        return counts

    def gate(self, attempt_ids: Sequence[str], judge_id: str, rule: Rule, margin: float) -> dict[str, int]:
        """Return how many usable judged triplets the rule keeps or loses for certain, and how many wait for people.

        kept, lost: not uncertain and not decided, by the rule. uncertain: within `margin` of its border, or judges
        are at odds. waiting: of those undecided. approved: what goes on now, accepted by people or kept for certain.
        """
        clause, parameters = attempts_clause(attempt_ids, "t.attempt_id")
        unsure, values = uncertain_clause(rule, margin, attempt_ids)
        [counts] = self._database.records(
            f"""WITH seen AS (SELECT coalesce(d.action, 'reset') AS action, {unsure} AS unsure,
                    {KEPT_BY_RULE.format("?", "?", "?")} AS kept
                FROM triplets AS t JOIN judgements AS j ON j.triplet_id = t.triplet_id AND j.judge_id = ?
                LEFT JOIN decided AS d ON d.triplet_id = t.triplet_id
                WHERE {_OK} AND j.a IS NOT NULL AND j.b IS NOT NULL AND {clause})
            SELECT count(*) FILTER (action = 'reset' AND kept AND NOT unsure) AS kept,
                count(*) FILTER (action = 'reset' AND NOT kept AND NOT unsure) AS lost,
                count(*) FILTER (unsure) AS uncertain, count(*) FILTER (unsure AND action = 'reset') AS waiting,
                count(*) FILTER (action = 'reject') AS rejected,
                count(*) FILTER (action IN ('accept', 'swap', 'edit')) AS accepted FROM seen""",
            [*values, *rule, judge_id, *parameters],
            kept=True,
        )
        return counts | {"approved": counts["kept"] + counts["accepted"]}

    def flips(self, attempt_ids: Sequence[str], judge_id: str, before: Rule, after: Rule) -> tuple[int, int]:
        """Return how many triplets the second rule gains and loses, compared with the first."""
        clause, parameters = attempts_clause(attempt_ids, "j.attempt_id")
        old = new = KEPT_BY_RULE.format("?", "?", "?")
        [(gained, lost)] = self._database.rows(
            f"SELECT count(*) FILTER ({new} AND NOT {old}), count(*) FILTER ({old} AND NOT {new}) "
            f"FROM judgements AS j WHERE j.judge_id = ? AND {clause}",
            [*after, *before, *before, *after, judge_id, *parameters],
        )
        return gained, lost

    def decided_scores(self, attempt_ids: Sequence[str], judge_id: str) -> Frame:
        """Return triplet_id, a, b, action of the triplets that a person decided and this judge scored."""
        clause, parameters = attempts_clause(attempt_ids, "j.attempt_id")
        return self._database.frame(
            "SELECT j.triplet_id, j.a, j.b, d.action FROM judgements AS j JOIN decided AS d "
            "ON d.triplet_id = j.triplet_id AND d.action <> 'reset' "
            f"WHERE j.judge_id = ? AND j.a IS NOT NULL AND j.b IS NOT NULL AND {clause} ORDER BY d.sequence",
            [judge_id, *parameters],
            kept=True,
        )

    def judge_agreement(self, attempt_ids: Sequence[str], rule: Rule) -> Frame:
        """Return per pair of judges: triplets both scored, Spearman of a - b, share that the rule treats alike."""
        clause, parameters = attempts_clause(attempt_ids)
        kept = KEPT_BY_RULE.format("?", "?", "?")
        return self._database.frame(
            f"""WITH scored AS (SELECT triplet_id, judge_id, a - b AS gap, {kept} AS kept FROM judgements AS j
                    WHERE a IS NOT NULL AND b IS NOT NULL AND {clause}),
                paired AS (SELECT x.judge_id AS first, y.judge_id AS second, x.gap AS g1, y.gap AS g2,
                    x.kept = y.kept AS alike FROM scored AS x JOIN scored AS y USING (triplet_id)
                    WHERE x.judge_id < y.judge_id),
                placed AS (SELECT *, rank() OVER (PARTITION BY first, second ORDER BY g1)
                        + (count(*) OVER (PARTITION BY first, second, g1) - 1) / 2 AS r1,
                    rank() OVER (PARTITION BY first, second ORDER BY g2)
                        + (count(*) OVER (PARTITION BY first, second, g2) - 1) / 2 AS r2 FROM paired)
                SELECT first, second, count(*) AS triplets, corr(r1, r2) AS spearman,
                    avg(alike::DOUBLE) AS alike FROM placed GROUP BY first, second ORDER BY first, second""",
            [*rule, *parameters],
            kept=True,
        )


class FinalSets:
    """Reads triplets with scores and decisions joined; a person's decision outranks the rule."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def kept(
        self, attempt_ids: Sequence[str], judge_id: str | None, rule: Rule | None, margin: float | None = None
    ) -> Frame:
        """Return triplet_id, premise, positive, hard_negative of the final set, in order of arrival.

        Without a judge or a rule every triplet with both sides ok is in, unless a person rejected it. With `margin`
        the uncertain ones, as in `Funnels.gate`, are in only where a person took them.
        """
        source, parameters, reason = _joined(attempt_ids, judge_id, rule, margin)
        return self._database.frame(
            "SELECT triplet_id, premise, positive, hard_negative FROM (SELECT t.rowid AS place, t.triplet_id, "
            "t.premise, coalesce(d.positive, t.positive) AS positive, "
            f"coalesce(d.hard_negative, t.hard_negative) AS hard_negative, {reason} AS reason {source}) "
            "WHERE reason NOT IN ('person: reject', 'lost by rule', 'not judged', 'not reviewed') ORDER BY place",
            parameters,
        )

    def texts(self, attempt_ids: Sequence[str]) -> Frame:
        """Return triplet_id, premise, positive, hard_negative of all triplets with both sides ok."""
        source, parameters, _ = _joined(attempt_ids, None, None)
        return self._database.frame(
            "SELECT t.triplet_id, t.premise, coalesce(d.positive, t.positive) AS positive, "
            f"coalesce(d.hard_negative, t.hard_negative) AS hard_negative {source} ORDER BY t.rowid",
            parameters,
        )

    def reasons(
        self, attempt_ids: Sequence[str], judge_id: str | None, rule: Rule | None, margin: float | None = None
    ) -> dict[str, int]:
        """Count all triplets with both sides ok by the reason why they are in or out."""
        source, parameters, reason = _joined(attempt_ids, judge_id, rule, margin)
        rows = self._database.rows(
            f"SELECT {reason} AS reason, count(*) {source} GROUP BY 1 ORDER BY 2 DESC, 1", parameters
        )
        return {why: int(count) for why, count in rows}


def _joined(
    attempt_ids: Sequence[str], judge_id: str | None, rule: Rule | None, margin: float | None = None
) -> tuple[str, list[Any], str]:
    """Return FROM and WHERE with their parameters, and the expression of the reason."""
    clause, parameters = attempts_clause(attempt_ids, "t.attempt_id")
    source = "FROM triplets AS t LEFT JOIN decided AS d ON d.triplet_id = t.triplet_id "
    by_rule = "'no rule'"
    if judge_id and rule is not None:
        source += "LEFT JOIN judgements AS j ON j.triplet_id = t.triplet_id AND j.judge_id = ? "
        parameters = [judge_id, *parameters]
        alpha, beta, gamma = (f"{float(limit)!r}::DOUBLE" for limit in rule)
        by_rule = (
            "CASE WHEN j.a IS NULL OR j.b IS NULL THEN 'not judged' "
            f"WHEN j.a >= {alpha} AND j.b <= {beta} AND j.a >= j.b + {gamma} THEN 'kept by rule' "
            "ELSE 'lost by rule' END"
        )
        if margin is not None:
            unsure, values = uncertain_clause(rule, margin, attempt_ids)
            source += (
                f"LEFT JOIN (SELECT j.triplet_id FROM judgements AS j WHERE j.judge_id = ? AND {unsure}) AS u "
                "ON u.triplet_id = t.triplet_id "
            )
            parameters = [judge_id, judge_id, *values, *parameters[1:]]
            by_rule = f"CASE WHEN u.triplet_id IS NOT NULL THEN 'not reviewed' ELSE {by_rule} END"
    source += f"WHERE t.positive_outcome = 'ok' AND t.hard_negative_outcome = 'ok' AND {clause}"
    return (
        source,
        parameters,
        f"CASE WHEN coalesce(d.action, 'reset') <> 'reset' THEN 'person: ' || d.action ELSE {by_rule} END",
    )


COLUMNS = ("triplet_id", "premise", "positive", "hard_negative")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One frozen training set and what it was made from."""

    snapshot_id: str
    name: str
    attempt_ids: tuple[str, ...]
    judge_id: str | None
    rule: dict[str, Any] | None
    rows: int
    file: str
    sha256: str
    created_at: str
    details: dict[str, Any] = field(default_factory=dict)
    """Attempts, judges with their calibrations, counts by reason, and the decision log up to here with its hash."""


SnapshotList = list[Snapshot]


class Snapshots(Table):
    """The folder of snapshot files and the table of their descriptions."""

    name, schema, key = "snapshots", SNAPSHOT_SCHEMA, ("snapshot_id",)

    def __init__(self, database: Database, folder: Path) -> None:
        super().__init__(database)
        self.folder = folder
        self._set_aside: dict[str, str] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def create(
        self,
        name: str,
        attempt_ids: Sequence[str],
        judge_id: str | None,
        rule: Any,
        frame: Frame,
        *,
        details: dict[str, Any] | None = None,
    ) -> Snapshot:
        """Freeze triplet_id, premise, positive, hard_negative of this frame, in its order.

        rule: a CurationRule, a dict of its fields, or None when no rule was applied.
        details: JSON values that say more about where the rows come from.
        """
        snapshot_id = new_id("snapshot")
        data = _parquet(frame)
        snapshot = Snapshot(
            snapshot_id=snapshot_id,
            name=name,
            attempt_ids=tuple(attempt_ids),
            judge_id=judge_id,
            rule=asdict(rule) if is_dataclass(rule) and not isinstance(rule, type) else rule,
            rows=len(frame),
            file=f"{snapshot_id}.parquet",
            sha256=sha256(data).hexdigest(),
            created_at=now(),
            details=details or {},
        )
        try:
            write_bytes(self.folder / snapshot.file, data)
            # The description comes second: whoever finds one finds its rows too.
            write_json(self.folder / f"{snapshot_id}.json", asdict(snapshot), indent=1)
        except OSError as error:
            (self.folder / snapshot.file).unlink(missing_ok=True)
            if is_full_disk(error):
                raise StorageError(
                    full_disk_message(self.folder, "free space and make the snapshot again")
                ) from error
            raise
        self.catch_up()
        return snapshot

    def list(self) -> SnapshotList:
        """Return every snapshot, newest first."""
        return [
            _snapshot(row)
            for row in self._database.records("SELECT * FROM snapshots ORDER BY snapshot_id DESC", kept=True)
        ]

    def get(self, snapshot_id: str) -> Snapshot:
        """Return one snapshot; an unknown id is an InputError."""
        for snapshot in self.list():
            if snapshot.snapshot_id == snapshot_id:
                return snapshot
        raise InputError(f"There is no snapshot {snapshot_id}; curate one first.")

    def rows(self, snapshot_id: str) -> Frame:
        """Return triplet_id, premise, positive, hard_negative; a file changed since is an InputError."""
        snapshot = self.get(snapshot_id)
        path = self.folder / snapshot.file
        if not path.is_file():
            raise InputError(f"The file {path} of the snapshot {snapshot.name} is missing; curate it again.")
        data = path.read_bytes()
        if sha256(data).hexdigest() != snapshot.sha256:
            raise InputError(f"The file {path} was changed after the snapshot was made; curate it again.")
        return pq.read_table(BytesIO(data)).to_pandas()

    def flat(self, row: Row) -> Row:
        """Return a description with its lists and dicts as JSON."""
        return flat_description(row)

    def catch_up(self) -> int:
        """Store descriptions that lie in the folder and not in the table; return how many."""
        known = {
            snapshot_id for (snapshot_id,) in self._database.rows("SELECT snapshot_id FROM snapshots", kept=True)
        }
        found, self._set_aside = read_descriptions(self.folder, known)
        if found:
            with self._database.write() as cursor:
                self.insert(cursor, found)
        return len(found)

    def set_aside(self) -> dict[str, str]:
        """Return what cannot be read as a snapshot in the folder of snapshots: name -> why, as a sentence."""
        return dict(self._set_aside)


def _parquet(frame: Frame) -> bytes:
    missing = [name for name in COLUMNS if name not in frame]
    if missing:
        raise InputError(f"A snapshot needs the columns {', '.join(COLUMNS)}; missing: {', '.join(missing)}.")
    table = pa.Table.from_pandas(frame[list(COLUMNS)], schema=schema_of(COLUMNS), preserve_index=False)
    buffer = BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _snapshot(row: Row) -> Snapshot:
    rule = None if row["rule"] is None else json.loads(row["rule"])
    details = json.loads(row["details"] or "{}")
    return Snapshot(**row | {"attempt_ids": tuple(json.loads(row["attempt_ids"])), "rule": rule, "details": details})
