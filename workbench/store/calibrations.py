"""Calibrations that were fitted in this workspace: every version is kept, the newest of a judge is used."""

import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.curation.calibration import Calibration
from pipeline.curation.ensemble import Ensemble
from pipeline.errors import InputError
from workbench.journal import Row, Rows
from workbench.store.connection import Cursor, Database, run
from workbench.store.rows import TEXT, checked, insert_new

_NAMES = ("version", "judge_id", "created_at", "source", "fields", "points", "ensemble")
_SCHEMA = pa.schema([(name, TEXT) for name in _NAMES])


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


class Calibrations:
    """The table of calibrations."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, cursor: Cursor, rows: Rows) -> int:
        """Insert calibrations; a version that is there stays as it was."""
        table, rejected = checked([_flat(row) for row in rows], _SCHEMA, ["version"])
        insert_new(cursor, "calibrations", table)
        return rejected

    def list(self, judge_id: str | None = None) -> FittedList:
        """Return the calibrations of this judge, or of all, newest first."""
        clause, parameters = ("WHERE judge_id = ?", [judge_id]) if judge_id else ("", [])
        with self._database.read() as cursor:
            rows = run(
                cursor,
                f"SELECT created_at, fields, points, ensemble FROM calibrations {clause} ORDER BY created_at DESC",
                parameters,
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

    def get(self, version: str) -> FittedCalibration:
        """Return one version; an unknown one is an InputError."""
        for fitted in self.list():
            if fitted.calibration.version == version:
                return fitted
        raise InputError(f"There is no calibration {version} in this workspace; fit one first.")


def _flat(row: Row) -> Row:
    try:
        ensemble = json.dumps(row["ensemble"]) if row.get("ensemble") else None
        fields = row["calibration"]
        return row | {
            "version": fields["version"],
            "judge_id": fields["judge_id"],
            "fields": json.dumps(fields),
            "points": json.dumps(row.get("points") or []),
            "ensemble": ensemble,
        }
    except (KeyError, TypeError):
        return {"version": None}


def _fitted(created_at: str, fields: str, points: str, ensemble: str | None) -> FittedCalibration:
    pairs: list[Any] = json.loads(points)
    return FittedCalibration(
        Calibration.from_json(json.loads(fields)),
        created_at,
        [(float(raw), float(gold)) for raw, gold in pairs],
        Ensemble.from_json(json.loads(ensemble)) if ensemble else None,
    )
