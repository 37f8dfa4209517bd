"""The only connection to the database file: a fresh cursor per unit of work, one lock around writes; backups."""

import re
import secrets
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import duckdb

from pipeline.durable import full_disk_message, is_disk_full, is_full_disk, whole_path
from pipeline.records import InputError, StorageError
from workbench.journal import Rows
from workbench.store.kept import KeptResults

if TYPE_CHECKING:
    from pandas import DataFrame as Frame
else:
    Frame = Any  # pandas is loaded by the first query that returns a table, not at the start

Cursor = duckdb.DuckDBPyConnection
Parameters = Sequence[Any] | dict[str, Any]
_DAMAGE = (duckdb.IOException, duckdb.SerializationException, duckdb.InternalException, duckdb.FatalException)
"""What DuckDB raises for a block that it cannot read or that holds something else."""
_SETTINGS = {
    "memory_limit": "1GB",  # DuckDB would take 80 % of the machine; with Python beside it: below 2 GB
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}


class Database:
    """Owner of the database file.

    No other code may open the file, not even to read it: closing any handle to it in this process drops
    DuckDB's lock, and a second writer would then destroy data without an error. One connection shared by
    threads mixes up results, so every unit of work takes its own cursor through `read` or `write`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._write_lock = Lock()
        self._kept = KeptResults()
        self._root: Cursor | None = self._connect()

    @contextmanager
    def read(self) -> Iterator[Cursor]:
        """Lend a cursor in a read-only transaction: all queries of one unit see the same state."""
        cursor = self._new_cursor()
        try:
            cursor.execute("BEGIN TRANSACTION READ ONLY").fetchall()
            yield cursor
        except (duckdb.Error, UnicodeDecodeError) as error:
            if is_damage(error):
                raise self._explained(error) from error
            raise
        finally:
            cursor.close()

    def rows(self, sql: str, parameters: Parameters | None = None, *, kept: bool = False) -> list[tuple[Any, ...]]:
        """Return the rows of one query; with `kept` those of an earlier one while none of its tables has changed."""
        if kept:
            return list(self._kept.ask(sql, parameters, lambda: self.rows(sql, parameters)))
        with self.read() as cursor:
            return run(cursor, sql, parameters)

    def records(self, sql: str, parameters: Parameters | None = None, *, kept: bool = False) -> Rows:
        """Return the rows of one query by column name; see `rows`."""
        if kept:
            return [dict(row) for row in self._kept.ask(sql, parameters, lambda: self.records(sql, parameters))]
        with self.read() as cursor:
            return records(cursor, sql, parameters)

    def frame(self, sql: str, parameters: Parameters | None = None, *, kept: bool = False) -> Frame:
        """Return the result of one query as a table; see `rows`."""
        if kept:
            return self._kept.ask(sql, parameters, lambda: self.frame(sql, parameters)).copy()
        with self.read() as cursor:
            return cursor.execute(sql, parameters or []).df()

    @contextmanager
    def write(self, tables: Collection[str] | None = None) -> Iterator[Cursor]:
        """Lend a cursor in a transaction that commits at the end; any error rolls back all of it.

        tables: all that it may change, so that kept results of others stay; None for any.
        """
        with self._write_lock:
            cursor = self._new_cursor()
            try:
                cursor.execute("BEGIN TRANSACTION").fetchall()
                yield cursor
                cursor.execute("COMMIT").fetchall()
            except duckdb.Error as error:
                self._recover(cursor, error)
                if is_damage(error):
                    raise self._explained(error) from error
                raise
            except BaseException:
                cursor.execute("ROLLBACK").fetchall()
                raise
            finally:
                self._kept.changed(tables)
                cursor.close()

    @contextmanager
    def exclusive(self) -> Iterator[Cursor]:
        """Lend a cursor outside a transaction while no write runs: for CHECKPOINT, ATTACH and copies."""
        with self._write_lock:
            cursor = self._new_cursor()
            try:
                yield cursor
            except duckdb.Error as error:
                if is_damage(error):
                    raise self._explained(error) from error
                raise
            finally:
                cursor.close()

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Close the database if what follows its opening fails: else DuckDB lends it to whoever tries again."""
        try:
            yield
        except BaseException:
            with suppress(duckdb.Error):
                self.close()
            raise

    def close(self) -> None:
        """Write the log into the file and release its lock."""
        with self._write_lock:
            if self._root is not None:
                self._root.close()
                self._root = None

    def _connect(self) -> Cursor:
        try:
            root = duckdb.connect(str(self.path), config=dict(_SETTINGS))
        except duckdb.Error as error:
            raise self._opening_error(error) from error
        for statement in self._restrictions():
            root.execute(statement).fetchall()
        return root

    def _restrictions(self) -> list[str]:
        """Restrict SQL to files inside the workspace (backups, snapshots); the lock keeps this from being lifted."""
        folder = str(self.path.parent).replace("'", "''")
        return [
            f"SET allowed_directories = ['{folder}/']",
            "SET enable_external_access = false",
            "SET lock_configuration = true",
        ]

    def _opening_error(self, error: duckdb.Error) -> Exception:
        text = str(error)
        if holder := re.search(r"lock.*\(PID (\d+)\)", text, re.DOTALL):
            return InputError(
                f"The workspace {self.path.parent} is in use by process {holder[1]}; "
                "work through that server or stop it first."
            )
        if is_full_disk(error) or is_disk_full(self.path.parent):
            return StorageError(full_disk_message(self.path.parent, "free space and open the workspace again"))
        return InputError(self._damaged("cannot be opened", error))

    def _explained(self, error: Exception) -> Exception:
        """Return what to raise for a block that cannot be read: a full disk, an error of our own, or the damage."""
        if is_full_disk(error) or is_disk_full(self.path.parent):
            return StorageError(full_disk_message(self.path.parent, "free space and try again"))
        return StorageError(self._damaged("is damaged", error))

    def _damaged(self, what: str, error: Exception) -> str:
        why = (str(error).splitlines() or [type(error).__name__])[0][:200]
        return (
            f"The database {self.path} {what} ({why}); `python -m workbench rebuild` rebuilds it from the journals, "
            "decisions and imports beside it."
        )

    def _new_cursor(self) -> Cursor:
        root = self._root
        if root is None:
            raise InputError(f"The workspace {self.path.parent} is closed; open it again.")
        return root.cursor()

    def _recover(self, cursor: Cursor, error: duckdb.Error) -> None:
        """Roll back after a failed statement; turn a full disk into a sentence that says what to do."""
        invalidated = isinstance(error, duckdb.FatalException) or "invalidated" in str(error)
        if not invalidated:
            try:
                cursor.execute("ROLLBACK").fetchall()
            except duckdb.TransactionException:
                pass  # a failed COMMIT has rolled back already
        full = is_full_disk(error) or is_disk_full(self.path.parent)
        if invalidated:
            self._reopen(cursor)
        if full:
            raise StorageError(
                full_disk_message(self.path.parent, "free space and the work continues by itself")
            ) from error

    def _reopen(self, cursor: Cursor) -> None:
        """Open the file again: after a fatal error DuckDB refuses everything until then."""
        cursor.close()
        if self._root is not None:
            self._root.close()
        self._root = None
        self._root = self._connect()


def is_damage(error: BaseException | None) -> bool:
    """Whether this error, or one that it followed, means that a block of the file could not be read."""
    while error is not None:
        if isinstance(error, (*_DAMAGE, UnicodeDecodeError)) or "Corrupt database" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def run(cursor: Cursor, sql: str, parameters: Parameters | None = None) -> list[tuple[Any, ...]]:
    """Execute one statement and fetch all of it: an unfinished result would block the cursor."""
    return cursor.execute(sql, parameters or []).fetchall()


def records(cursor: Cursor, sql: str, parameters: Parameters | None = None) -> Rows:
    """Execute one statement and return its rows by column name."""
    rows = run(cursor, sql, parameters)
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in rows]


def copy_database(database: Database, target: Path) -> Path:
    """Copy every table of the open database to a new file; writes wait meanwhile, reads go on.

    SQL may touch no folder outside the workspace, so the copy is made there and moved out when it is
    complete. Copying the open file with file functions would drop its lock and could tear it.
    """
    target = target.expanduser().resolve()
    _check_target(target, database.path)
    draft = database.path.parent / f".backup-{secrets.token_hex(4)}.duckdb"
    try:
        _copy(database, draft)
        with whole_path(target) as moved:
            shutil.move(draft, moved)
    except (OSError, duckdb.Error) as error:
        if is_full_disk(error):
            raise StorageError(full_disk_message(target.parent, "free space and back up again")) from error
        raise
    finally:
        draft.unlink(missing_ok=True)
    return target


def _check_target(target: Path, source: Path) -> None:
    if target == source or target.name == source.name + ".wal":
        raise InputError(f"{target} is the database itself; give the backup another name.")
    if target.is_dir():
        raise InputError(f"{target} is a folder; name the backup file too, for example {target / 'backup.duckdb'}.")
    if not target.parent.is_dir():
        raise InputError(f"The folder {target.parent} does not exist; create it or choose another for the backup.")


def _copy(database: Database, draft: Path) -> None:
    quoted = str(draft).replace("'", "''")
    with database.exclusive() as cursor:
        [(current,)] = run(cursor, "SELECT current_database()")
        run(cursor, f"ATTACH '{quoted}' AS backup_copy")
        try:
            run(cursor, f'COPY FROM DATABASE "{current}" TO backup_copy')
        finally:
            run(cursor, "DETACH backup_copy")
