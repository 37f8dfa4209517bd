"""`import-premises`, `import` and `export`."""

import argparse
from pathlib import Path
from typing import Any

from workbench.cli.access import access
from workbench.cli.output import print_line, print_table, write_json
from workbench.cli.watch import require_file, require_path, watch
from workbench.workspace import workspace_root

_SHOWN = 10


def import_premises(options: argparse.Namespace) -> None:
    """Import a corpus and say what became of every line."""
    if options.hub:
        fetch_premises(options)
        return
    path = str(require_file(Path(options.file)))
    with access(workspace_root(options.workspace)) as call:
        answer = call(
            "import_premises", path=path, column=options.column, name=options.name, encoding=options.encoding
        )
    rejected = ", ".join(f"{count} {reason}" for reason, count in answer["rejected"].items()) or "none"
    print_line(
        f"{answer['name']}: {answer['premises']} premises of {answer['lines']} lines, "
        f"{answer['duplicates']} duplicates, rejected: {rejected}"
    )
    print_rejected(answer)
    write_json(options.json, answer)


def print_rejected(answer: dict[str, Any]) -> None:
    """Print the first rejected rows with their reasons, and the encoding to try where there is one."""
    rows = answer["rejected_rows"]
    if rows:
        title = "Rejected rows" if len(rows) <= _SHOWN else f"The first {_SHOWN} rejected rows"
        print_table(title, tuple(rows[0]), [tuple(row.values()) for row in rows[:_SHOWN]])
    if offer := answer.get("encoding_offer"):
        print_line(
            f"Some rows are not UTF-8. In {offer['encoding']} the first of them is: {offer['sample']}\n"
            f"If that is right, import again with --encoding {offer['encoding']}."
        )


def fetch_premises(options: argparse.Namespace) -> None:
    """Fetch a corpus from the hub and follow its job."""
    with access(workspace_root(options.workspace)) as call:
        started = call(
            "start_fetch_premises",
            hub=options.file,
            revision=options.revision or "",
            column=options.column,
            name=options.name,
            limit=options.limit,
        )
        view = watch(call, started["job_id"], label="Fetching")
    print_line(f"{started['name']}: {view['done']} premises.")
    write_json(options.json, started)


def import_triplets(options: argparse.Namespace) -> None:
    """Import triplets as an attempt."""
    path = str(require_path(options.file))
    with access(workspace_root(options.workspace)) as call:
        answer = call("import_triplets", path=path, name=options.name, encoding=options.encoding)
    print_line(
        f"{answer['attempt_id']}: {answer['triplets']} triplets of {answer['lines']} lines, "
        f"{answer['duplicates']} duplicates, {answer['rejected']} rejected"
    )
    print_rejected(answer)
    write_json(options.json, answer)


def import_pairs(options: argparse.Namespace) -> None:
    """Make a task of scored pairs; its folder can be evaluated."""
    path = str(require_file(options.file).resolve())
    columns = {name: getattr(options, name) for name in ("first", "second", "score", "name", "encoding")}
    with access(workspace_root(options.workspace)) as call:
        answer = call("import_pairs", path=path, **columns)
    print_line(f"{answer['task']}: {answer['pairs']} pairs, {answer['rejected']} rejected, in {answer['folder']}")
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
