"""Building the database anew from what it was built from: journals, imports, decisions, snapshots."""

from pathlib import Path

from pipeline.durable import move_file
from pipeline.records import InputError
from workbench.jobs.folder import JobFolder, read_jobs
from workbench.journal import FileLock, new_id
from workbench.store.store import Store


def rebuild(root: Path) -> dict[str, int]:
    """Replace the database by a fresh one with the same rows; return the number of rows per table.

    The old file is kept beside the new one under another name. A workspace in use is an InputError.
    """
    root = root.expanduser().resolve()
    if not root.is_dir():
        raise InputError(f"There is no workspace {root}; name an existing one with --workspace.")
    lock = FileLock(root / "owner.lock")
    lock.take_or_explain()
    try:
        draft = root / "state.rebuilt.duckdb"
        _remove(draft)
        counts = _fill(root, draft)
        _swap(root / "state.duckdb", draft)
    finally:
        lock.release()
    return counts


def _fill(root: Path, draft: Path) -> dict[str, int]:
    with Store(draft, root=root) as store:  # opening reads imports, decisions and snapshots
        jobs = root / "jobs"
        records, set_aside = read_jobs(jobs) if jobs.is_dir() else ({}, {})
        for job_id in sorted([*records, *set_aside]):  # rows are kept of a job, too, whose spec is damaged
            journal = JobFolder(jobs / job_id).journal
            if journal.exists():
                store.journals.ingest_all(f"jobs/{job_id}", journal)
        views = [record.view(JobFolder(jobs / job_id).true_status()) for job_id, record in records.items()]
        store.jobs.mirror([view.row() for view in views])
        return store.counts()


def _swap(database: Path, draft: Path) -> None:
    """Put the new file in place of the old one, whose log moves away with it."""
    kept = database.with_name(f"{new_id('replaced')}.duckdb")
    for suffix in (".wal", ""):  # the log first: a new file must never meet an old log
        old = Path(f"{database}{suffix}")
        if old.exists():
            old.replace(f"{kept}{suffix}")
    move_file(draft, database)


def _remove(draft: Path) -> None:
    for suffix in ("", ".wal"):
        Path(f"{draft}{suffix}").unlink(missing_ok=True)
