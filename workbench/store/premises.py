"""Corpora: the journals that imports are kept as, the premises they bring, and attempts at premises from scratch."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from json.encoder import encode_basestring_ascii
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa

from pipeline.durable import DRAFTS, full_disk_message, is_full_disk, whole_path
from pipeline.records import InputError, StorageError
from workbench.journal import Journal, Row, new_id, now
from workbench.store.connection import Database, Frame
from workbench.store.journals import Journals, Table, schema_of

_BATCH_ROWS = 20_000
_CHUNK_BYTES = 48 << 20
"""Stored at a time: about as many triplets as the database compresses together; smaller parts it compresses again."""


class Imports(Table):
    """The folder of import journals and the table of their headers."""

    name, key = "imports", ("import_id",)
    schema = schema_of(
        ("import_id", "kind", "name", "source", "rejected", "created_at", "digest"), counts=("duplicates",)
    )

    def __init__(self, database: Database, folder: Path, journals: Journals) -> None:
        super().__init__(database)
        self.folder = folder
        self._journals = journals
        self._lock = Lock()
        folder.mkdir(parents=True, exist_ok=True)
        for abandoned in folder.glob(DRAFTS):  # an import cut short was never announced
            abandoned.unlink()

    def flat(self, row: Row) -> Row:
        """Return a header with the columns of the table."""
        return row | {"source": row.get("origin"), "rejected": json.dumps(row.get("rejected", {}))}

    def add(
        self,
        import_id: str,
        header: Callable[[], Row],
        rows: Iterable[Row],
        *,
        digest: Callable[[], str | None] = lambda: None,
        batch_rows: int = _BATCH_ROWS,
    ) -> str:
        """Keep an import as a journal, then store its rows; return its id.

        The header and the digest of what is imported are asked for after the last row. If the same was imported
        before under the same name, nothing is kept and the id is that of the earlier import. Raises StorageError on
        a full disk; what the journal holds by then is stored as soon as there is room.
        """
        path = self.folder / f"{import_id}.jsonl"
        try:
            with ExitStack() as held, whole_path(path) as draft, closing(Journal(draft)) as journal:
                stream = iter(rows)
                while batch := list(islice(stream, batch_rows)):
                    journal.append(batch)
                row = {"table": "imports", "created_at": now(), "import_id": import_id, "digest": digest()} | header()
                journal.append([row])
                held.enter_context(self._lock)  # until the file has its name: the same may be imported side by side
                self._catch_up()
                if known := self._earlier(row):
                    raise _KnownImport(known)
        except _KnownImport as known:
            return str(known)
        except OSError as error:
            if is_full_disk(error):
                raise StorageError(full_disk_message(self.folder, "free space and import again")) from error
            raise
        self.catch_up()
        return import_id

    def catch_up(self) -> int:
        """Store the lines of every import not read yet, after a full disk or a kill; return how many."""
        with self._lock:
            return self._catch_up()

    def _catch_up(self) -> int:
        total = 0
        for path in sorted(self.folder.glob("*.jsonl")):
            source = f"imports/{path.stem}"
            if self._journals.is_behind(source, path):
                total += self._journals.ingest_all(source, path, _CHUNK_BYTES)
        return total

    def _earlier(self, row: Row) -> str | None:
        found = self._database.rows(
            "SELECT min(import_id) FROM imports WHERE digest = ? AND kind = ? AND name = ?",
            [row["digest"], row["kind"], row["name"]],
        )
        return found[0][0]


class _KnownImport(Exception):
    """Leaves the writing of an import that was there before; its text is the id of that one."""


def fed(digest: blake2b, rows: Iterable[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Yield these rows of texts and feed each to the digest, as JSON."""
    for row in rows:  # as json.dumps writes it, in a third of its time
        digest.update(f"[{', '.join(map(encode_basestring_ascii, row))}]".encode())
        yield row


_CORPORA = """
    SELECT import_id, name, source, coalesce(held.premises, 0), duplicates, rejected, created_at
    FROM imports LEFT JOIN (SELECT corpus_id, count(*) AS premises FROM premises GROUP BY corpus_id) AS held
    ON held.corpus_id = imports.import_id WHERE kind = 'corpus'
"""


@dataclass(frozen=True, slots=True)
class Corpus:
    """One imported list of premises, and what its import left out."""

    corpus_id: str
    name: str
    source: str
    premises: int
    duplicates: int
    rejected: dict[str, int]
    created_at: str


class Premises(Table):
    """The table of premises."""

    name, key = "premises", ("corpus_id", "position")
    schema = schema_of(("corpus_id", "premise_id", "text"), counts=("position",))

    def __init__(self, database: Database, imports: Imports) -> None:
        super().__init__(database)
        self._imports = imports

    def add_corpus(self, name: str, source: str, frame: Frame, rejected: dict[str, int], duplicates: int) -> Corpus:
        """Store a corpus: premise_id and text per row of the frame, in this order.

        The same texts from the same source under the same name are one corpus, however often they are imported.
        """
        corpus_id = new_id("corpus")
        header = {
            "kind": "corpus",
            "name": name,
            "origin": source,
            "duplicates": int(duplicates),
            "rejected": {reason: int(count) for reason, count in rejected.items()},
        }
        digest = blake2b(json.dumps([source, *frame["text"]]).encode(), digest_size=16).hexdigest()
        return self.corpus(
            self._imports.add(corpus_id, lambda: header, _rows(corpus_id, frame), digest=lambda: digest)
        )

    def corpora(self) -> list[Corpus]:
        """Return every corpus, newest first."""
        return [_corpus(row) for row in self._database.rows(f"{_CORPORA} ORDER BY import_id DESC", kept=True)]

    def corpus(self, corpus_id: str) -> Corpus:
        """Return one corpus; an unknown id is an InputError."""
        rows = self._database.rows(f"{_CORPORA} AND import_id = ?", [corpus_id])
        if not rows:
            raise InputError(f"There is no corpus {corpus_id}; choose one of the imported corpora.")
        return _corpus(rows[0])

    def page(self, corpus_id: str, after: int = -1, limit: int = 50, text: str = "") -> Frame:
        """Return the next premises whose position is above `after`: position, premise_id, text."""
        return self._database.frame(
            "SELECT position, premise_id, text FROM premises WHERE corpus_id = ? AND position > ? "
            "AND contains(lower(text), lower(?)) ORDER BY position LIMIT ?",
            [corpus_id, after, text, limit],
        )

    def rows(self, corpus_id: str, limit: int | None = None) -> Frame:
        """Return premise_id and text in the order of the corpus."""
        with self.batches(corpus_id, limit) as rows:
            return rows.read_pandas()

    @contextmanager
    def batches(self, corpus_id: str, limit: int | None = None) -> Iterator[pa.RecordBatchReader]:
        """Give the same, a batch in memory at a time."""
        with self._database.read() as cursor:
            yield cursor.sql(
                "SELECT premise_id, text FROM premises WHERE corpus_id = ? ORDER BY position LIMIT ?",
                params=[corpus_id, limit],
            ).to_arrow_reader(_BATCH_ROWS)


def _rows(corpus_id: str, frame: Frame) -> Iterator[Row]:
    for position, (premise_id, text) in enumerate(zip(frame["premise_id"], frame["text"], strict=True)):
        yield {
            "table": "premises",
            "corpus_id": corpus_id,
            "position": position,
            "premise_id": str(premise_id),
            "text": str(text),
        }


def _corpus(row: tuple[Any, ...]) -> Corpus:
    corpus_id, name, source, premises, duplicates, rejected, created_at = row
    return Corpus(corpus_id, name, source, premises, duplicates, json.loads(rejected), created_at)


class PremiseAttempts(Table):
    """The table of attempts at single premises written from scratch, append-only."""

    name, key = "premise_attempts", ("corpus_id", "topic", "genre", "asked", "number")
    schema = schema_of(
        ("corpus_id", "topic", "genre", "asked", "length", "text", "outcome", "reason"), counts=("number",)
    )

    def corpora(self) -> list[str]:
        """Return the corpora written from scratch, newest first."""
        return [
            row[0] for row in self._database.rows("SELECT DISTINCT corpus_id FROM premise_attempts ORDER BY 1 DESC")
        ]

    def coverage(self, corpus_id: str) -> Frame:
        """Return topic, genre, length (a premise's own) and the number of premises that are ok."""
        return self._database.frame(
            "SELECT topic, genre, length, count(*) AS premises FROM premise_attempts "
            "WHERE corpus_id = ? AND outcome = 'ok' GROUP BY ALL ORDER BY ALL",
            [corpus_id],
        )

    def outcome_counts(self, corpus_id: str, *, topic: str = "", genre: str = "") -> dict[str, int]:
        """Return how many attempts ended in each way, most frequent first; of one topic or genre if given."""
        where, values = _where(corpus_id, topic, genre)
        rows = self._database.rows(
            f"SELECT outcome, count(*) FROM premise_attempts WHERE {where} GROUP BY 1 ORDER BY 2 DESC, 1", values
        )
        return {str(outcome): int(count) for outcome, count in rows}

    def page(self, corpus_id: str, *, outcome: str, topic: str = "", genre: str = "", limit: int = 200) -> Frame:
        """Return the first attempts with an outcome: topic, genre, asked, length, text, reason."""
        where, values = _where(corpus_id, topic, genre)
        return self._database.frame(
            "SELECT topic, genre, asked, length, text, reason FROM premise_attempts "
            f"WHERE {where} AND outcome = ? ORDER BY topic, genre, asked, number LIMIT ?",
            [*values, outcome, limit],
        )


def _where(corpus_id: str, topic: str, genre: str) -> tuple[str, list[Any]]:
    """Return the condition on these columns; names are fixed here, values are bound."""
    chosen = {"corpus_id": corpus_id} | ({"topic": topic} if topic else {}) | ({"genre": genre} if genre else {})
    return " AND ".join(f"{name} = ?" for name in chosen), list(chosen.values())
