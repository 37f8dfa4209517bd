"""Frozen training sets: a Parquet file, its description beside it, and a row that points to both."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.durable import full_disk_message, is_full_disk, write_bytes, write_json
from pipeline.records import InputError, StorageError
from workbench.journal import Row, new_id, now
from workbench.store.connection import Database
from workbench.store.journals import Table, schema_of

if TYPE_CHECKING:
    import pandas as pd

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

    name, key = "snapshots", ("snapshot_id",)
    schema = schema_of(
        ("snapshot_id", "name", "attempt_ids", "judge_id", "rule", "file", "sha256", "created_at", "details"),
        counts=("rows",),
    )

    def __init__(self, database: Database, folder: Path) -> None:
        super().__init__(database)
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def create(
        self,
        name: str,
        attempt_ids: Sequence[str],
        judge_id: str | None,
        rule: Any,
        frame: "pd.DataFrame",
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
        return [_snapshot(row) for row in self._database.records("SELECT * FROM snapshots ORDER BY snapshot_id DESC")]

    def get(self, snapshot_id: str) -> Snapshot:
        """Return one snapshot; an unknown id is an InputError."""
        for snapshot in self.list():
            if snapshot.snapshot_id == snapshot_id:
                return snapshot
        raise InputError(f"There is no snapshot {snapshot_id}; curate one first.")

    def rows(self, snapshot_id: str) -> "pd.DataFrame":
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
        return row | {
            "attempt_ids": json.dumps(row["attempt_ids"]),
            "rule": None if row["rule"] is None else json.dumps(row["rule"], sort_keys=True),
            "details": json.dumps(row.get("details") or {}, sort_keys=True),
        }

    def catch_up(self) -> int:
        """Store descriptions that lie in the folder and not in the table; return how many."""
        known = {snapshot_id for (snapshot_id,) in self._database.rows("SELECT snapshot_id FROM snapshots")}
        missing = [path for path in sorted(self.folder.glob("*.json")) if path.stem not in known]
        if missing:
            with self._database.write() as cursor:
                self.insert(cursor, [json.loads(path.read_bytes()) for path in missing])
        return len(missing)


def _parquet(frame: "pd.DataFrame") -> bytes:
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
