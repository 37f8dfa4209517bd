"""Commands about the workspace: its jobs, any action by name, import and export, backup, doctor, server."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from pipeline.records import InputError
from workbench.cli.main import Answer, access, ask, print_line, print_table, require_file, watch, write_json
from workbench.doctor import examine
from workbench.paths import SKILL
from workbench.workspace import rebuild as rebuild_database
from workbench.workspace import workspace_root

_SHOWN = 10


def list_jobs(options: argparse.Namespace) -> None:
    """List the jobs, newest first."""
    answer = ask(options, "jobs")
    rows = [
        (job["job_id"], job["kind"], job["state"], f"{job['done']}/{job['total']}", job["title"], job["message"])
        for job in answer["jobs"]
    ]
    print_table("Jobs", ("id", "kind", "state", "done", "title", "message"), rows)
    write_json(options.json, answer)


def move(options: argparse.Namespace) -> None:
    """Move a waiting job in its queue."""
    places = options.down if options.up is None else -options.up
    write_json(options.json, ask(options, "move", job_id=options.job_id, places=places))


def resume(options: argparse.Namespace) -> None:
    """Resume a job and follow it to its end."""
    with access(options) as call:
        call("resume", job_id=options.job_id)
        view = watch(call, options.job_id, label="Resumed")
    write_json(options.json, view)


def steer(options: argparse.Namespace) -> None:
    """Pause, finish or cancel a job, depending on the command."""
    write_json(options.json, ask(options, options.steering, job_id=options.job_id))


def call_action(options: argparse.Namespace) -> None:
    """Call the action and print its answer."""
    from workbench.actions import ACTIONS

    if options.action not in ACTIONS:
        raise InputError(f"There is no action {options.action}; there are {', '.join(sorted(ACTIONS))}.")
    text = sys.stdin.read() if options.arguments == "-" else options.arguments
    try:
        arguments = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"The arguments of {options.action} are not valid JSON: {error}.") from error
    if not isinstance(arguments, dict):
        raise InputError(f"The arguments of {options.action} must be a JSON object of names and values.")
    answer = ask(options, options.action, **arguments)
    print_line(json.dumps(answer, indent=2, ensure_ascii=False))
    write_json(options.json, answer)


def doctor(options: argparse.Namespace) -> int:
    """Print every finding; exit status 1 when something must be repaired."""
    findings = examine(workspace_root(options.workspace))
    rows = [(item.name, item.state, item.detail, item.advice) for item in findings]
    print_table("Doctor", ("what", "state", "found", "what to do"), rows)
    write_json(options.json, [asdict(item) for item in findings])
    return int(any(item.state == "error" for item in findings))


def import_premises(options: argparse.Namespace) -> None:
    """Import a corpus and print how many lines were kept, duplicates, or rejected and why."""
    if options.hub:
        fetch_premises(options)
        return
    path = str(require_file(Path(options.file)))
    answer = ask(
        options, "import_premises", path=path, column=options.column, name=options.name, encoding=options.encoding
    )
    rejected = ", ".join(f"{count} {reason}" for reason, count in answer["rejected"].items()) or "none"
    print_line(
        f"{answer['name']}: {answer['premises']} premises of {answer['lines']} lines, "
        f"{answer['duplicates']} duplicates, rejected: {rejected}"
    )
    print_rejected(answer)
    write_json(options.json, answer)


def print_rejected(answer: Answer) -> None:
    """Print the first rejected rows with their reasons, and an encoding to try if one fits."""
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
    with access(options) as call:
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
    """Import triplets."""
    path = str(require_file(options.file, or_folder=True))
    answer = ask(
        options,
        "import_triplets",
        path=path,
        name=options.name,
        encoding=options.encoding,
        columns=list(options.columns or ()),
    )
    print_line(
        f"{answer['attempt_id']}: {answer['triplets']} triplets of {answer['lines']} lines, "
        f"{answer['duplicates']} duplicates, {answer['rejected']} rejected"
    )
    print_rejected(answer)
    write_json(options.json, answer)


def import_pairs(options: argparse.Namespace) -> None:
    """Make a task from scored pairs and print its folder, which can be evaluated."""
    path = str(require_file(options.file).resolve())
    columns = {name: getattr(options, name) for name in ("first", "second", "score", "name", "encoding")}
    answer = ask(options, "import_pairs", path=path, **columns)
    print_line(f"{answer['task']}: {answer['pairs']} pairs, {answer['rejected']} rejected, in {answer['folder']}")
    write_json(options.json, answer)


def export(options: argparse.Namespace) -> None:
    """Write triplets to a file whose extension sets the format."""
    answer = ask(
        options,
        "export_triplets",
        path=str(options.file.resolve()),
        snapshot_id=options.snapshot,
        attempt_ids=options.attempt,
        form=options.form or "",
    )
    print_line(f"{answer['triplets']} triplets written to {answer['path']}")
    write_json(options.json, answer)


def backup(options: argparse.Namespace) -> None:
    """Copy the database while it is in use."""
    if options.file.exists():
        raise InputError(f"{options.file} exists already: name a new file for the backup.")
    answer = ask(options, "backup", path=str(options.file.resolve()))
    print_line(f"Backup written to {answer['path']}")
    write_json(options.json, answer)


def rebuild(options: argparse.Namespace) -> None:
    """Replay journals, imports and decisions into a fresh database; the old file is kept beside it."""
    rebuilt = rebuild_database(workspace_root(options.workspace))
    print_table("Rebuilt", ("table", "rows"), sorted(rebuilt.rows.items()))
    if rebuilt.left_out:
        print_line("Left out, because it is damaged:\n" + "\n".join(rebuilt.left_out))
    write_json(options.json, rebuilt.rows | {"left_out": rebuilt.left_out})


def serve(options: argparse.Namespace) -> int | None:
    """Serve until stopped."""
    from workbench.server import serve

    return serve(
        workspace_root(options.workspace),
        port=options.port,
        address=options.address,
        with_token=not options.no_token,
        hosts=options.host or (),
        base_path=options.base_path,
    )


def serve_agents(options: argparse.Namespace) -> None:
    """Serve an agent until it closes standard input; through the server of the workspace where one owns it."""
    if options.print_skill:
        sys.stdout.write(SKILL.read_text(encoding="utf-8"))
        return
    try:
        from workbench.agents import serve_stdio
    except ModuleNotFoundError as error:
        raise InputError(
            f"Agents need the package {error.name}: pip install 'multicsr-workbench[agents]'."
        ) from error
    with access(options) as call:
        serve_stdio(call, workspace_root(options.workspace))
