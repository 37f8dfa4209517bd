"""Encoders that were trained or evaluated here."""

from dataclasses import dataclass

import pyarrow as pa

from pipeline.errors import InputError
from workbench.journal import Rows
from workbench.store.connection import Cursor, Database, run
from workbench.store.rows import TEXT, checked, insert_new

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
