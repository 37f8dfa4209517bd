import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest
from stand_ins import generating
from store_samples import add, premises, triplet_row

from pipeline.records import InputError
from workbench.store import Store
from workbench.store.connection import run
from workbench.store.decisions import Decision
from workbench.store.filters import TripletFilter
from workbench.store.store import MIGRATIONS, migrate
from workbench.workspace import Workspace, rebuild


def test_threads_get_their_own_results_while_a_writer_writes(store):
    """One shared connection mixed up results between threads; a cursor per unit of work must not."""

    def read(number: int) -> bool:
        with store.database.read() as cursor:
            return run(cursor, "SELECT ?, sum(range) FROM range(2000)", [number]) == [(number, 1999000)]

    def write(number: int) -> bool:
        with store.database.write() as cursor:
            run(cursor, "INSERT INTO migrations VALUES (0, ?)", [f"row {number}"])
        return True

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda n: write(n) if n % 4 == 0 else read(n), range(200)))
    assert all(outcomes)
    with store.database.read() as cursor:
        assert run(cursor, "SELECT count(*) FROM migrations WHERE number = 0") == [(50,)]


def test_a_store_that_fails_while_it_is_opened_can_be_opened_again(tmp_path, monkeypatch):
    """The first failure is still held, as by whoever reports it: DuckDB would lend its locked database."""

    def broken(database):
        raise duckdb.IOException("a block could not be read")

    with monkeypatch.context() as patched:
        patched.setattr("workbench.store.store.migrate", broken)
        with pytest.raises(duckdb.IOException) as held:
            Store(tmp_path / "state.duckdb")
    with Store(tmp_path / "state.duckdb") as store:
        assert store.premises.corpora() == []
    assert held.value.args


def test_an_error_rolls_the_whole_unit_back(store):
    with pytest.raises(ZeroDivisionError), store.database.write() as cursor:
        run(cursor, "INSERT INTO migrations VALUES (0, 'half')")
        raise ZeroDivisionError
    with pytest.raises(duckdb.Error), store.database.write() as cursor:
        run(cursor, "INSERT INTO migrations VALUES (0, 'half')")
        run(cursor, "SELECT no_such_column")
    with store.database.read() as cursor:
        assert run(cursor, "SELECT count(*) FROM migrations WHERE number = 0") == [(0,)]


def test_reading_cannot_write(store):
    with pytest.raises(duckdb.Error, match="read-only"), store.database.read() as cursor:
        run(cursor, "INSERT INTO migrations VALUES (0, 'x')")


def test_sql_reaches_no_file_outside_the_workspace(store, tmp_path):
    outside = tmp_path / "secret.csv"
    outside.write_text("a\n1\n")
    for statement in (
        f"SELECT * FROM read_csv('{outside}')",
        f"COPY (SELECT 1) TO '{tmp_path / 'out.parquet'}'",
        f"ATTACH '{tmp_path / 'other.duckdb'}'",
        "SET enable_external_access = true",
    ):
        with pytest.raises(duckdb.Error), store.database.exclusive() as cursor:
            run(cursor, statement)


def test_migrations_run_once_and_refuse_a_newer_schema(store):
    assert migrate(store.database) == len(MIGRATIONS)
    with store.database.write() as cursor:
        run(cursor, "INSERT INTO migrations VALUES (?, 'from the future')", [len(MIGRATIONS) + 1])
    with pytest.raises(InputError, match="update the workbench"):
        migrate(store.database)


def test_second_owner_is_told_who_has_the_workspace(tmp_path, stand_in):
    root = tmp_path / "ws"
    script = (
        "import sys; from pathlib import Path; from pipeline.records import InputError; "
        "from workbench.workspace import Workspace\n"
        "try:\n    Workspace(Path(sys.argv[1])).open()\nexcept InputError as error:\n    print(error)"
    )
    with Workspace(root):
        second = subprocess.run(
            [sys.executable, "-c", script, str(root)], env=stand_in, capture_output=True, text=True, check=True
        )
        assert second.stdout.count("\n") == 1
        assert f"in use by process {os.getpid()}" in second.stdout
        with pytest.raises(InputError, match=str(os.getpid())):
            Workspace(root).open()
    Workspace(root).open().close()


def test_database_held_by_a_foreign_program_is_a_clear_sentence(tmp_path, stand_in):
    """The file may be open in DuckDB's own shell, which knows nothing of the workspace's lock."""
    path = tmp_path / "state.duckdb"
    script = "import duckdb, sys, time; c = duckdb.connect(sys.argv[1]); print('open', flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"open\n"
        with pytest.raises(InputError, match=f"in use by process {holder.pid}"):
            Store(path)
    finally:
        holder.kill()
        holder.communicate()


def test_damaged_file_names_the_way_out(tmp_path: Path):
    path = tmp_path / "state.duckdb"
    path.write_bytes(b"this is no database" * 1000)
    with pytest.raises(InputError, match="rebuild"):
        Store(path)


OPENED: list[str] = []
_WATCHED: set[str] = set()


def _note_opening(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _WATCHED and str(arguments[0]) in _WATCHED:
        OPENED.append(str(arguments[0]))


def test_nobody_else_opens_the_database_file(tmp_path, stand_in):
    """Opening and closing it in this process would drop DuckDB's lock, and a second writer could destroy data."""
    sys.addaudithook(_note_opening)
    root = tmp_path / "ws"
    _WATCHED.update({str(root / "state.duckdb"), str(root / "state.duckdb.wal")})
    try:
        with Workspace(root) as workspace:
            workspace.store.premises.add_corpus("c", "paste", premises(5), {}, 0)
            add(workspace.store, "triplets", [triplet_row("t")])
            workspace.store.decisions.append([Decision("t", "accept")])
            workspace.store.snapshots.create("s", [], None, None, workspace.store.triplets.rows(TripletFilter()))
            workspace.wait(workspace.jobs.submit(generating(count=4)), timeout_s=120)
            workspace.store.backup(tmp_path / "copy.duckdb")
            workspace.store.overview()
            with pytest.raises(InputError):
                rebuild(root)
            with pytest.raises(InputError):
                Workspace(root).open()
        assert OPENED == []
        (root / "state.duckdb").read_bytes()
        assert OPENED == [str(root / "state.duckdb")]  # the watcher does watch
    finally:
        _WATCHED.clear()
