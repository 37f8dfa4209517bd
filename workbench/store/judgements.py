"""Scores a and b in [0, 5] that judges gave to triplets, and the calibrations that made them from raw values."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.config import CurationRule
from pipeline.curation.calibration import Calibration
from pipeline.curation.judges import Ensemble
from workbench.journal import Row, Rows
from workbench.store.connection import Cursor, Frame
from workbench.store.filters import attempts_clause, ids_clause
from workbench.store.journals import TEXT, Table, checked, insert, schema_of
from workbench.store.triplet_blocks import FEW, attempts_of

_SCHEMA = schema_of(("triplet_id", "judge_id", "calibration", "source"), reals=("a_raw", "b_raw", "a", "b"))
_COLUMNS = ", ".join(_SCHEMA.names)
_INSERT = f"""
    WITH judged AS ({{}})
    INSERT INTO judgements ({_COLUMNS}, attempt_id)
    SELECT {", ".join(f"incoming.{name}" for name in _SCHEMA.names)}, judged.attempt_id
    FROM incoming LEFT JOIN judged USING (triplet_id)
    ON CONFLICT (triplet_id, judge_id)
    DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _SCHEMA.names[2:])}
    WHERE excluded.source > judgements.source
"""
"""The generation run is stored with each score: a query over one run needs no join."""
_TOP = 5.0
_JUDGED = "a IS NOT NULL AND b IS NOT NULL"


class Judgements(Table):
    """The table of judgements: one row per triplet and judge, from the latest job that gave one."""

    name, schema, key = "judgements", _SCHEMA, ("triplet_id", "judge_id")

    def insert(self, cursor: Cursor, rows: Rows) -> int:
        """Insert judgements. Within a journal the first row of a key stays; a later job's row replaces it.

        Job ids sort by time, so the outcome does not depend on the order in which journals are read.
        """
        table, rejected = checked([_without_nan(row) for row in rows], self.schema, self.key)
        judged = "SELECT triplet_id, attempt_id FROM triplets WHERE triplet_id IN (SELECT triplet_id FROM incoming)"
        if table.num_rows <= FEW:  # as a judge brings them, second by second
            known = attempts_of(cursor, table["triplet_id"].to_pylist())
            runs = pa.array([known.get(triplet_id) for triplet_id in table["triplet_id"].to_pylist()], TEXT)
            table, judged = (
                table.append_column("known", runs),
                "SELECT DISTINCT triplet_id, known AS attempt_id FROM incoming",
            )
        insert(cursor, table, _INSERT.format(judged))
        return rejected

    def judges(self, attempt_ids: Sequence[str] = ()) -> list[str]:
        """Return the judges that scored any triplet of these attempts (no ids: of any attempt)."""
        clause, parameters = attempts_clause(attempt_ids)
        rows = self._database.rows(
            f"SELECT DISTINCT judge_id FROM judgements WHERE {clause} ORDER BY judge_id", parameters, kept=True
        )
        return [judge_id for (judge_id,) in rows]

    def judged(self) -> dict[str, int]:
        """Return attempt -> number of its triplets that one judge has scored, the most of any judge."""
        rows = self._database.rows(
            "SELECT attempt_id, max(n) FROM (SELECT attempt_id, count(*) AS n FROM judgements "
            "GROUP BY attempt_id, judge_id) GROUP BY attempt_id",
            kept=True,
        )
        return dict(rows)

    def raw_values(self, attempt_ids: Sequence[str], judge_ids: Sequence[str]) -> Frame:
        """Return triplet_id, judge_id, a_raw, b_raw, and action and reason of the decision in force, if any."""
        clause, parameters = attempts_clause(attempt_ids, "j.attempt_id")
        return self._database.frame(
            "SELECT j.triplet_id, j.judge_id, j.a_raw, j.b_raw, nullif(d.action, 'reset') AS action, d.reason "
            "FROM judgements AS j LEFT JOIN decided AS d ON d.triplet_id = j.triplet_id "
            f"WHERE j.judge_id IN (SELECT unnest(?::VARCHAR[])) AND {clause} ORDER BY j.triplet_id",
            [list(judge_ids), *parameters],
        )

    def calibrations(self, attempt_ids: Sequence[str] = ()) -> dict[str, list[str]]:
        """Return, per judge of these attempts, the versions of the calibrations its scores were made with."""
        clause, parameters = attempts_clause(attempt_ids)
        rows = self._database.rows(
            "SELECT judge_id, list(DISTINCT calibration ORDER BY calibration) FROM judgements "
            f"WHERE calibration IS NOT NULL AND {clause} GROUP BY judge_id ORDER BY judge_id",
            parameters,
            kept=True,
        )
        return dict(rows)

    def plane(
        self,
        attempt_ids: Sequence[str],
        judge_id: str,
        limit: int | None = None,
        triplet_ids: Sequence[str] | None = None,
    ) -> Frame:
        """Return triplet_id, a, b of judged triplets, or of those among these; a limit gives a sample that stays."""
        clause, parameters = attempts_clause(attempt_ids)
        among, values = ids_clause(triplet_ids)
        order = "ORDER BY hash(triplet_id)" if limit is not None else ""
        return self._database.frame(
            f"SELECT triplet_id, a, b FROM judgements WHERE judge_id = ? AND {_JUDGED} AND {clause} AND {among} "
            f"{order} LIMIT ?",
            [judge_id, *parameters, *values, limit],
            kept=limit is not None,
        )

    def with_texts(self, attempt_ids: Sequence[str], judge_id: str) -> Frame:
        """Return triplet_id, positive, hard_negative, a, b of judged triplets, the texts as the judge read them."""
        clause, parameters = attempts_clause(attempt_ids, "j.attempt_id")
        return self._database.frame(
            "SELECT j.triplet_id, t.positive, t.hard_negative, j.a, j.b FROM judgements AS j "
            f"JOIN triplets AS t ON t.triplet_id = j.triplet_id WHERE j.judge_id = ? AND {_JUDGED} AND {clause}",
            [judge_id, *parameters],
        )

    def histogram(self, attempt_ids: Sequence[str], judge_id: str, bins: int = 50) -> np.ndarray:
        """Return counts, int64 (bins, bins), over [0, 5] x [0, 5]; first axis a, second axis b."""
        clause, parameters = attempts_clause(attempt_ids)
        cell = f"greatest(least(floor({{}} / {_TOP} * {bins:d}), {bins:d} - 1), 0)::BIGINT"
        cells = self._database.rows(
            f"SELECT {cell.format('a')} AS i, {cell.format('b')} AS j, count(*) FROM judgements "
            f"WHERE judge_id = ? AND {_JUDGED} AND {clause} GROUP BY i, j",
            [judge_id, *parameters],
            kept=True,
        )
        counts = np.zeros((bins, bins), dtype=np.int64)
        for i, j, count in cells:
            counts[i, j] = count
        return counts

    def rule_counts(self, attempt_ids: Sequence[str], judge_id: str, rule: CurationRule) -> dict[str, int]:
        """Return judged, kept, alpha, beta, gamma: each lost triplet counts for the first limit it fails."""
        clause, parameters = attempts_clause(attempt_ids)
        [counts] = self._database.rows(
            "SELECT count(*), count(*) FILTER (a >= alpha AND b <= beta AND a >= b + gamma), "
            "count(*) FILTER (a < alpha), count(*) FILTER (a >= alpha AND b > beta), "
            "count(*) FILTER (a >= alpha AND b <= beta AND a < b + gamma) FROM judgements, "
            "(SELECT ?::DOUBLE AS alpha, ?::DOUBLE AS beta, ?::DOUBLE AS gamma) "
            f"WHERE judge_id = ? AND {_JUDGED} AND {clause}",
            [rule.alpha, rule.beta, rule.gamma, judge_id, *parameters],
            kept=True,
        )
        return dict(zip(("judged", "kept", "alpha", "beta", "gamma"), counts, strict=True))

    def near_copies(self, attempt_id: str, *, least_cosine: float) -> Frame:
        """Return premise, side, written, cosine of the ok sentences whose cosine to their premise is this high.

        The closest come first; empty where no guide has judged the attempt.
        """
        sides = " UNION ALL ".join(
            f"SELECT t.premise, '{side}' AS side, t.{side} AS written, j.{raw} AS cosine "
            "FROM judgements AS j JOIN triplets AS t USING (triplet_id) "
            "WHERE j.attempt_id = $attempt_id AND starts_with(j.judge_id, 'guide:') "
            f"AND t.{side}_outcome = 'ok' AND NOT isnan(j.{raw}) AND j.{raw} >= $least_cosine"
            for side, raw in (("positive", "a_raw"), ("hard_negative", "b_raw"))
        )
        return self._database.frame(
            f"SELECT * FROM ({sides}) ORDER BY cosine DESC, premise",
            {"attempt_id": attempt_id, "least_cosine": least_cosine},
        )


def _without_nan(row: Row) -> Row:
    """Replace NaN by None: DuckDB sorts NaN above every number, and an unusable score would pass each lower limit."""
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}


@dataclass(frozen=True, slots=True)
class FittedCalibration:
    """A calibration with when it was fitted and some of the pairs that were held out of the fit."""

    calibration: Calibration
    created_at: str
    points: list[tuple[float, float]]
    """Raw value and gold score of held-out pairs."""
    ensemble: Ensemble | None = None
    """For a judge that is an ensemble: its members and weights."""


FittedList = list[FittedCalibration]


class Calibrations(Table):
    """The table of calibrations."""

    name, key = "calibrations", ("version",)
    schema = schema_of(("version", "judge_id", "created_at", "source", "fields", "points", "ensemble"))

    def flat(self, row: Row) -> Row:
        """Return the row with its parts as JSON, or without its key where a part is missing."""
        try:
            fields = row["calibration"]
            return row | {
                "version": fields["version"],
                "judge_id": fields["judge_id"],
                "fields": json.dumps(fields),
                "points": json.dumps(row.get("points") or []),
                "ensemble": json.dumps(row["ensemble"]) if row.get("ensemble") else None,
            }
        except (KeyError, TypeError):
            return {"version": None}

    def list(self, judge_id: str | None = None) -> FittedList:
        """Return the calibrations of this judge, or of all, newest first."""
        clause, parameters = ("WHERE judge_id = ?", [judge_id]) if judge_id else ("", [])
        rows = self._database.rows(
            f"SELECT created_at, fields, points, ensemble FROM calibrations {clause} ORDER BY created_at DESC",
            parameters,
            kept=True,
        )
        return [_fitted(*row) for row in rows]

    def newest(self) -> dict[str, FittedCalibration]:
        """Return the newest calibration of each judge that has one."""
        found: dict[str, FittedCalibration] = {}
        for fitted in self.list():
            found.setdefault(fitted.calibration.judge_id, fitted)
        return found

    def ensembles(self) -> dict[str, Ensemble]:
        """Return the newest ensemble of each name."""
        return {judge_id: fitted.ensemble for judge_id, fitted in self.newest().items() if fitted.ensemble}


def _fitted(created_at: str, fields: str, points: str, ensemble: str | None) -> FittedCalibration:
    pairs: list[Any] = json.loads(points)
    return FittedCalibration(
        Calibration.from_json(json.loads(fields)),
        created_at,
        [(float(raw), float(gold)) for raw, gold in pairs],
        Ensemble.from_json(json.loads(ensemble)) if ensemble else None,
    )
