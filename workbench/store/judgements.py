"""Scores a and b on 0..5 that judges gave to triplets."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa

from workbench.journal import Row, Rows
from workbench.store.connection import Cursor, Database, run
from workbench.store.filters import attempts_clause
from workbench.store.rows import REAL, TEXT, checked, insert

if TYPE_CHECKING:
    import pandas as pd

_SCHEMA = pa.schema(
    [("triplet_id", TEXT), ("judge_id", TEXT), ("calibration", TEXT), ("source", TEXT)]
    + [(name, REAL) for name in ("a_raw", "b_raw", "a", "b")]
)
_COLUMNS = ", ".join(_SCHEMA.names)
_INSERT = f"""
    WITH judged AS (SELECT triplet_id, attempt_id FROM triplets
        WHERE triplet_id IN (SELECT triplet_id FROM incoming))
    INSERT INTO judgements ({_COLUMNS}, attempt_id)
    SELECT {", ".join(f"incoming.{name}" for name in _SCHEMA.names)}, judged.attempt_id
    FROM incoming LEFT JOIN judged USING (triplet_id)
    ON CONFLICT (triplet_id, judge_id)
    DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _SCHEMA.names[2:])}
    WHERE excluded.source > judgements.source
"""
"""The attempt is stored with each score, so that a look at one attempt joins nothing."""
_TOP = 5.0


class Rule(Protocol):
    """The thresholds of a curation rule."""

    @property
    def alpha(self) -> float:
        """Least a."""
        ...

    @property
    def beta(self) -> float:
        """Greatest b."""
        ...

    @property
    def gamma(self) -> float:
        """Least a - b."""
        ...


class Judgements:
    """The table of judgements: one row per triplet and judge, from the latest job that gave one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, cursor: Cursor, rows: Rows) -> int:
        """Insert judgements. Within a journal the first row of a key stays; a later job's row replaces it.

        Job ids sort by time, so the outcome does not depend on the order in which journals are read.
        """
        table, rejected = checked([_without_nan(row) for row in rows], _SCHEMA, ["triplet_id", "judge_id"])
        insert(cursor, table, _INSERT)
        return rejected

    def judges(self, attempt_ids: Sequence[str] = ()) -> list[str]:
        """Return the judges that scored any triplet of these attempts (no ids: of any attempt)."""
        clause, parameters = attempts_clause(attempt_ids)
        with self._database.read() as cursor:
            rows = run(
                cursor, f"SELECT DISTINCT judge_id FROM judgements WHERE {clause} ORDER BY judge_id", parameters
            )
        return [judge_id for (judge_id,) in rows]

    def raw_values(self, attempt_ids: Sequence[str], judge_ids: Sequence[str]) -> "pd.DataFrame":
        """Return triplet_id, judge_id, a_raw, b_raw, and action and reason of the decision in force, if any."""
        clause, parameters = attempts_clause(attempt_ids, "j.attempt_id")
        with self._database.read() as cursor:
            return cursor.execute(
                "SELECT j.triplet_id, j.judge_id, j.a_raw, j.b_raw, nullif(d.action, 'reset') AS action, d.reason "
                "FROM judgements AS j LEFT JOIN decided AS d ON d.triplet_id = j.triplet_id "
                f"WHERE j.judge_id IN (SELECT unnest(?::VARCHAR[])) AND {clause} ORDER BY j.triplet_id",
                [list(judge_ids), *parameters],
            ).df()

    def calibrations(self, attempt_ids: Sequence[str] = ()) -> dict[str, list[str]]:
        """Return, per judge of these attempts, the versions of the calibrations its scores were made with."""
        clause, parameters = attempts_clause(attempt_ids)
        with self._database.read() as cursor:
            rows = run(
                cursor,
                "SELECT judge_id, list(DISTINCT calibration ORDER BY calibration) FROM judgements "
                f"WHERE calibration IS NOT NULL AND {clause} GROUP BY judge_id ORDER BY judge_id",
                parameters,
            )
        return dict(rows)

    def plane(self, attempt_ids: Sequence[str], judge_id: str, limit: int | None = None) -> "pd.DataFrame":
        """Return triplet_id, a, b of judged triplets; with a limit, a sample that stays the same."""
        clause, parameters = attempts_clause(attempt_ids)
        order = "ORDER BY hash(triplet_id)" if limit is not None else ""
        with self._database.read() as cursor:
            return cursor.execute(
                f"SELECT triplet_id, a, b FROM judgements WHERE judge_id = ? AND {_JUDGED} AND {clause} "
                f"{order} LIMIT ?",
                [judge_id, *parameters, limit],
            ).df()

    def histogram(self, attempt_ids: Sequence[str], judge_id: str, bins: int = 50) -> np.ndarray:
        """Return counts int64 (bins, bins) over [0, 5] x [0, 5]; first axis a, second axis b."""
        clause, parameters = attempts_clause(attempt_ids)
        cell = f"greatest(least(floor({{}} / {_TOP} * {bins:d}), {bins:d} - 1), 0)::BIGINT"
        with self._database.read() as cursor:
            cells = run(
                cursor,
                f"SELECT {cell.format('a')} AS i, {cell.format('b')} AS j, count(*) FROM judgements "
                f"WHERE judge_id = ? AND {_JUDGED} AND {clause} GROUP BY i, j",
                [judge_id, *parameters],
            )
        counts = np.zeros((bins, bins), dtype=np.int64)
        for i, j, count in cells:
            counts[i, j] = count
        return counts

    def rule_counts(self, attempt_ids: Sequence[str], judge_id: str, rule: Rule) -> dict[str, int]:
        """Return judged, kept, alpha, beta, gamma: each lost triplet counts for the first limit it fails."""
        clause, parameters = attempts_clause(attempt_ids)
        with self._database.read() as cursor:
            [counts] = run(
                cursor,
                "SELECT count(*), count(*) FILTER (a >= $alpha AND b <= $beta AND a >= b + $gamma), "
                "count(*) FILTER (a < $alpha), count(*) FILTER (a >= $alpha AND b > $beta), "
                "count(*) FILTER (a >= $alpha AND b <= $beta AND a < b + $gamma) FROM judgements "
                f"WHERE judge_id = $judge_id AND {_JUDGED} AND {clause.replace('?', '$attempt_ids')}",
                {"alpha": rule.alpha, "beta": rule.beta, "gamma": rule.gamma, "judge_id": judge_id}
                | ({"attempt_ids": parameters[0]} if parameters else {}),
            )
        return dict(zip(("judged", "kept", "alpha", "beta", "gamma"), counts, strict=True))

    def near_copies(self, attempt_id: str, *, least_cosine: float) -> "pd.DataFrame":
        """Return premise, side, written, cosine of the ok sentences that a guide puts this close to their premise.

        The closest come first; empty where no guide has judged the attempt.
        """
        sides = " UNION ALL ".join(
            f"SELECT t.premise, '{side}' AS side, t.{side} AS written, j.{raw} AS cosine "
            "FROM judgements AS j JOIN triplets AS t USING (triplet_id) "
            "WHERE j.attempt_id = $attempt_id AND starts_with(j.judge_id, 'guide:') "
            f"AND t.{side}_outcome = 'ok' AND NOT isnan(j.{raw}) AND j.{raw} >= $least_cosine"
            for side, raw in (("positive", "a_raw"), ("hard_negative", "b_raw"))
        )
        with self._database.read() as cursor:
            return cursor.execute(
                f"SELECT * FROM ({sides}) ORDER BY cosine DESC, premise",
                {"attempt_id": attempt_id, "least_cosine": least_cosine},
            ).df()


_JUDGED = "a IS NOT NULL AND b IS NOT NULL"


def _without_nan(row: Row) -> Row:
    """DuckDB sorts NaN above every number, so an unusable score would pass each lower limit."""
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}
