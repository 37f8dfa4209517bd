"""`import-premises`, `import` and `export`."""

import argparse

from workbench.cli.access import access
from workbench.cli.output import print_line, write_json
from workbench.cli.watch import require_file, require_path
from workbench.workspace import workspace_root


def import_premises(options: argparse.Namespace) -> None:
    """Import a corpus and say what became of every line."""
    path = str(require_file(options.file))
    with access(workspace_root(options.workspace)) as call:
        answer = call("import_premises", path=path, column=options.column, name=options.name)
    rejected = ", ".join(f"{count} {reason}" for reason, count in answer["rejected"].items()) or "none"
    print_line(
        f"{answer['name']}: {answer['premises']} premises of {answer['lines']} lines, "
        f"{answer['duplicates']} duplicates, rejected: {rejected}"
    )
    write_json(options.json, answer)


def import_triplets(options: argparse.Namespace) -> None:
    """Import triplets as an attempt."""
    path = str(require_path(options.file))
    with access(workspace_root(options.workspace)) as call:
        answer = call("import_triplets", path=path, name=options.name)
    print_line(
        f"{answer['attempt_id']}: {answer['triplets']} triplets of {answer['lines']} lines, "
        f"{answer['duplicates']} duplicates, {answer['rejected']} rejected"
    )
    write_json(options.json, answer)


def export(options: argparse.Namespace) -> None:
    """Write triplets to a file whose ending says its format."""
    with access(workspace_root(options.workspace)) as call:
        answer = call(
            "export_triplets",
            path=str(options.file.resolve()),
            snapshot_id=options.snapshot,
            attempt_ids=options.attempt,
        )
    print_line(f"{answer['triplets']} triplets written to {answer['path']}")
    write_json(options.json, answer)
