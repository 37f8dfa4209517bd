"""`backup` and `rebuild`."""

import argparse

from pipeline.errors import InputError
from workbench.cli.access import access
from workbench.cli.output import print_line, print_table, write_json
from workbench.workspace import workspace_root


def backup(options: argparse.Namespace) -> None:
    """Copy the database while it is in use."""
    if options.file.exists():
        raise InputError(f"{options.file} exists already: name a new file for the backup.")
    with access(workspace_root(options.workspace)) as call:
        answer = call("backup", path=str(options.file.resolve()))
    print_line(f"Backup written to {answer['path']}")
    write_json(options.json, answer)


def rebuild(options: argparse.Namespace) -> None:
    """Replay journals, imports and decisions into a fresh database; the old file is kept beside it."""
    from workbench.rebuild import rebuild as rebuild_database

    counts = rebuild_database(workspace_root(options.workspace))
    print_table("Rebuilt", ("table", "rows"), sorted(counts.items()))
    write_json(options.json, counts)
