"""Frozen snapshots: a Parquet file each with its description, written and read a batch of rows at a time."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from hashlib import file_digest
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.durable import full_disk_message, is_full_disk, whole_path, write_json
from pipeline.records import InputError, StorageError
from workbench.journal import Row, new_id, now
from workbench.store.connection import Database, Frame
from workbench.store.files import SNAPSHOT_SCHEMA, flat_description, read_descriptions
from workbench.store.journals import Table, schema_of

COLUMNS = ("triplet_id", "premise", "positive", "hard_negative")
_BATCH_ROWS = 50_000


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
        self._known_good: dict[str, tuple[int, int, int]] = {}
        """Files whose sha256 is right, each with its state on the disk."""
        folder.mkdir(parents=True, exist_ok=True)

    def create(
        self,
        name: str,
        attempt_ids: Sequence[str],
        judge_id: str | None,
        rule: Any,
        rows: Frame | pa.RecordBatchReader,
        *,
        details: dict[str, Any] | None = None,
    ) -> Snapshot:
        """Freeze triplet_id, premise, positive, hard_negative of these rows, in their order.

        rule: a CurationRule, a dict of its fields, or None when no rule was applied.
        details: JSON values that say more about where the rows come from.
        """
        snapshot_id = new_id("snapshot")
        path, reader = self.folder / f"{snapshot_id}.parquet", _reader(rows)
        try:
            with whole_path(path) as draft:
                count = _write(draft, reader)
                with draft.open("rb") as written:
                    sha256 = file_digest(written, "sha256").hexdigest()
            snapshot = Snapshot(
                snapshot_id=snapshot_id,
                name=name,
                attempt_ids=tuple(attempt_ids),
                judge_id=judge_id,
                rule=asdict(rule) if is_dataclass(rule) and not isinstance(rule, type) else rule,
                rows=count,
                file=path.name,
                sha256=sha256,
                created_at=now(),
                details=details or {},
            )
            # The description comes second: whoever finds one finds its rows too.
            write_json(self.folder / f"{snapshot_id}.json", asdict(snapshot), indent=1)
        except OSError as error:
            path.unlink(missing_ok=True)
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

    def rows(self, snapshot_id: str, limit: int | None = None) -> Frame:
        """Return triplet_id, premise, positive, hard_negative of all triplets or the first so many; see `batches`."""
        batches = self.batches(snapshot_id)
        if limit is not None:
            batches = islice(batches, -(-limit // _BATCH_ROWS))
        return pa.Table.from_batches(batches, schema_of(COLUMNS)).slice(0, limit).to_pandas()

    def batches(self, snapshot_id: str) -> Iterator[pa.RecordBatch]:
        """Yield the rows in their order, a batch in memory at a time; a file changed since is an InputError.

        The sha256 is computed when this process first reads the file, and again once its time or size has changed.
        """
        path = self._checked(self.get(snapshot_id))
        with pq.ParquetFile(path, pre_buffer=False) as file:  # else it reads all row groups ahead
            yield from file.iter_batches(_BATCH_ROWS, columns=list(COLUMNS))

    def _checked(self, snapshot: Snapshot) -> Path:
        path = self.folder / snapshot.file
        if not path.is_file():
            raise InputError(f"The file {path} of the snapshot {snapshot.name} is missing; curate it again.")
        stat = path.stat()
        state = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        if self._known_good.get(snapshot.snapshot_id) != state:
            with path.open("rb") as file:
                if file_digest(file, "sha256").hexdigest() != snapshot.sha256:
                    raise InputError(f"The file {path} was changed after the snapshot was made; curate it again.")
            self._known_good[snapshot.snapshot_id] = state
        return path

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


def _reader(rows: Frame | pa.RecordBatchReader) -> pa.RecordBatchReader:
    if not isinstance(rows, pa.RecordBatchReader):
        missing = [name for name in COLUMNS if name not in rows]
        if missing:
            raise InputError(f"A snapshot needs the columns {', '.join(COLUMNS)}; missing: {', '.join(missing)}.")
        rows = pa.Table.from_pandas(rows[list(COLUMNS)], schema_of(COLUMNS), preserve_index=False).to_reader()
    return rows.cast(schema_of(COLUMNS))


def _write(path: Path, reader: pa.RecordBatchReader) -> int:
    count = 0
    with pq.ParquetWriter(path, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
            count += batch.num_rows
    return count


def _snapshot(row: Row) -> Snapshot:
    rule = None if row["rule"] is None else json.loads(row["rule"])
    details = json.loads(row["details"] or "{}")
    return Snapshot(**row | {"attempt_ids": tuple(json.loads(row["attempt_ids"])), "rule": rule, "details": details})
