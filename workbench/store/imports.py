"""Imported corpora and triplet files: kept as journals of their own, so that a rebuild finds them."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import pyarrow as pa

from pipeline.durable import DRAFTS, full_disk_message, is_full_disk, whole_path
from pipeline.errors import StorageError
from workbench.ids import now
from workbench.journal import Journal, Row, Rows
from workbench.store.connection import Cursor
from workbench.store.journals import Journals
from workbench.store.rows import COUNT, TEXT, checked, insert_new

_BATCH_ROWS = 20_000
_SCHEMA = pa.schema(
    [
        ("import_id", TEXT),
        ("kind", TEXT),
        ("name", TEXT),
        ("source", TEXT),
        ("duplicates", COUNT),
        ("rejected", TEXT),
        ("created_at", TEXT),
    ]
)


class Imports:
    """The folder of import journals and the table of their headers."""

    def __init__(self, folder: Path, journals: Journals) -> None:
        self.folder = folder
        self._journals = journals
        folder.mkdir(parents=True, exist_ok=True)
        for abandoned in folder.glob(DRAFTS):  # an import cut short was never announced
            abandoned.unlink()

    def insert(self, cursor: Cursor, rows: Rows) -> int:
        """Insert headers."""
        named = [row | {"source": row.get("origin"), "rejected": json.dumps(row.get("rejected", {}))} for row in rows]
        table, rejected = checked(named, _SCHEMA, ["import_id"])
        insert_new(cursor, "imports", table)
        return rejected

    def add(
        self, import_id: str, header: Callable[[], Row], rows: Iterable[Row], *, batch_rows: int = _BATCH_ROWS
    ) -> None:
        """Keep an import as a journal, then store its rows; the header is asked for when all rows have come by."""
        path = self._write(import_id, header, rows, batch_rows)
        self._journals.ingest_all(f"imports/{path.stem}", path)

    def catch_up(self) -> int:
        """Store the lines of every import not read yet; return how many."""
        total = 0
        for path in sorted(self.folder.glob("*.jsonl")):
            source = f"imports/{path.stem}"
            if self._journals.is_behind(source, path):
                total += self._journals.ingest_all(source, path)
        return total

    def _write(self, import_id: str, header: Callable[[], Row], rows: Iterable[Row], batch_rows: int) -> Path:
        """Write a whole import as one journal file that appears only when it is complete and on the disk."""
        path = self.folder / f"{import_id}.jsonl"
        try:
            with whole_path(path) as draft, closing(Journal(draft)) as journal:
                for batch in _batches(rows, batch_rows):
                    journal.append(batch)
                journal.append([{"table": "imports", "created_at": now(), "import_id": import_id} | header()])
        except OSError as error:
            if is_full_disk(error):
                raise StorageError(full_disk_message(self.folder, "free space and import again")) from error
            raise
        return path


def _batches(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, size)):
        yield batch
