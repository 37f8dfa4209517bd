"""Journals: what was acknowledged is stored once, whatever is torn, repeated or restarted in between."""

import json
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from store_samples import triplet_row

from workbench.journal import Journal, parse_lines, read_rows, read_whole_lines
from workbench.store import Store
from workbench.store.connection import run

NUMBERS = st.lists(st.integers(0, 30), min_size=1, max_size=6)


class JournalMachine(RuleBasedStateMachine):
    """A writer that may be killed anywhere, a reader that may be restarted anywhere, and a dict as the truth."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "journal.jsonl"
        self.store = Store(self.folder / "state.duckdb")
        self.journal = Journal(self.path)
        self.truth: dict[str, str] = {}
        self.version = 0

    @rule(numbers=NUMBERS)
    def append(self, numbers):
        rows = self._rows(numbers)
        self.journal.append(rows)
        self._keep(rows)

    @rule(numbers=NUMBERS, share=st.floats(0, 0.999))
    def kill_writer_in_the_middle_of_a_batch(self, numbers, share):
        rows = self._rows(numbers)
        data = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        written = data[: int(len(data) * share)]
        self.journal.close()
        with self.path.open("ab") as file:
            file.write(written)
        self._keep(rows[: written.count(b"\n")])  # a whole line counts although nobody acknowledged it

    @rule()
    def start_writer_again(self):
        self.journal.close()
        self.journal = Journal(self.path)
        assert self.path.read_bytes()[-1:] in (b"", b"\n")

    @rule()
    def ingest(self):
        self.store.journals.ingest("jobs/j", self.path)

    @rule()
    def restart_reader(self):
        self.store.close()
        self.store = Store(self.folder / "state.duckdb")

    @invariant()
    def nothing_is_stored_that_was_not_written(self):
        assert self._stored().items() <= self.truth.items()

    def teardown(self):
        self.store.journals.ingest_all("jobs/j", self.path)
        assert self._stored() == self.truth
        assert self.store.journals.reading("jobs/j").rejected == 0
        self.journal.close()
        self.store.close()
        shutil.rmtree(self.folder)

    def _rows(self, numbers):
        self.journal.close()
        self.journal = Journal(self.path)  # a writer never goes on behind a torn line: it starts by cutting it
        self.version += 1
        return [triplet_row(f"t{number}", positive=f"version {self.version} of {number}") for number in numbers]

    def _keep(self, rows):
        for row in rows:
            self.truth.setdefault(row["triplet_id"], row["positive"])

    def _stored(self):
        with self.store.database.read() as cursor:
            rows = run(cursor, "SELECT triplet_id, positive FROM triplets")
        assert len(rows) == len(dict(rows))
        return dict(rows)


TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = settings(max_examples=12, stateful_step_count=15, deadline=None)


def test_batches_do_not_change_what_is_stored(tmp_path):
    """Row by row or all at once: of equal keys the first wins, and a later dev score fills the gap."""
    rows = [triplet_row("same", positive=f"text {i}") for i in range(3)]
    rows += [{"table": "train_steps", "run_id": "r", "step": 1, "loss": 2.0 + i, "dev_score": s} for i, s in
             enumerate([None, 0.5, 0.7])]  # fmt: skip
    results = []
    for name, size in (("single", 1), ("together", len(rows))):
        path = tmp_path / f"{name}.jsonl"
        with Store(tmp_path / name / "state.duckdb") as store:
            journal = Journal(path)
            for start in range(0, len(rows), size):
                journal.append(rows[start : start + size])
                store.journals.ingest_all("jobs/j", path)
            journal.close()
            with store.database.read() as cursor:
                results.append(run(cursor, "SELECT positive, loss, dev_score FROM triplets, train_steps"))
    assert results == [[("text 0", 2.0, 0.5)]] * 2


def test_rows_keep_their_order_of_arrival(store, tmp_path):
    """ON CONFLICT DO NOTHING stored the rows of a batch in scrambled order."""
    path = tmp_path / "journal.jsonl"
    Journal(path).append([triplet_row(f"t{i * 7919 % 5000}") for i in range(5000)])
    store.journals.ingest_all("jobs/j", path)
    with store.database.read() as cursor:
        stored = [name for (name,) in run(cursor, "SELECT triplet_id FROM triplets ORDER BY rowid")]
    assert stored == [f"t{i * 7919 % 5000}" for i in range(5000)]


def test_journal_that_shrank_and_grew_again_is_read_from_its_start(store, tmp_path):
    """After a power failure a journal may have lost lines that were read already; new ones stand in their place."""
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.append([triplet_row("kept")])
    size = path.stat().st_size
    journal.append([triplet_row("lost")])
    store.journals.ingest_all("jobs/j", path)
    journal.close()
    with path.open("ab") as file:
        file.truncate(size)
    journal = Journal(path)
    journal.append([triplet_row("new1"), triplet_row("new2")])
    journal.close()
    store.journals.ingest_all("jobs/j", path)
    with store.database.read() as cursor:
        assert run(cursor, "SELECT triplet_id FROM triplets ORDER BY triplet_id") == [
            ("kept",), ("lost",), ("new1",), ("new2",)]  # fmt: skip


def test_damaged_and_unusable_lines_are_counted_and_stop_nothing(store, tmp_path):
    path = tmp_path / "journal.jsonl"
    lines = [
        json.dumps(triplet_row("good")),
        "{broken",
        "[1, 2]",
        json.dumps({"table": "inventions", "x": 1}),
        json.dumps({"table": "inventions", "x": 2}),
        json.dumps(triplet_row("bad", tokens="many")),
        json.dumps({"table": "triplets", "premise": "has no id"}),
        json.dumps(triplet_row("also good")),
    ]
    path.write_text("\n".join(lines) + "\n")
    assert store.journals.ingest_all("jobs/j", path) == 8
    reading = store.journals.reading("jobs/j")
    assert (reading.rejected, reading.unknown) == (4, {"inventions": 2})
    assert store.counts()["triplets"] == 2


def test_line_longer_than_a_chunk_is_read_whole(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"table": "t", "x": "' + b"y" * 5000 + b'"}\n{"table": "t"}\n{"tor')
    assert read_whole_lines(path, 0, limit_bytes=100).count(b"\n") == 1
    assert len(list(read_rows(path))) == 2
    assert read_whole_lines(path, path.stat().st_size - 5) == b""


@pytest.mark.parametrize("text", ["line\u2028separator", 'quote " and \\', "carriage\rreturn\n", "half \ud800", "😀"])
def test_any_text_stays_one_line(tmp_path, text):
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append([{"table": "t", "text": text}])
    [row], damaged = parse_lines(read_whole_lines(journal.path, 0))
    assert damaged == 0
    assert row["text"] == text.encode("utf-8", "replace").decode()
