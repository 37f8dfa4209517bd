"""A consistent copy of the open database, made by the database itself."""

import secrets
import shutil
from pathlib import Path

import duckdb

from pipeline.durable import full_disk_message, is_full_disk, whole_path
from pipeline.errors import InputError, StorageError
from workbench.store.connection import Database, run


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
