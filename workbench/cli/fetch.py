"""`fetch`: tasks of the hub as files of the workspace."""

import argparse

from workbench.cli.access import access
from workbench.cli.output import print_line, write_json
from workbench.cli.watch import watch
from workbench.workspace import workspace_root


def run(options: argparse.Namespace) -> None:
    """Fetch and say where the tasks lie."""
    with access(workspace_root(options.workspace)) as call:
        started = call("start_fetch", kind=options.kind, tasks=options.task)
        job = watch(call, started["job_id"], label="Fetching")
    print_line(f"{job['message']} They lie in {started['folder']}.")
    write_json(options.json, started | {"message": job["message"]})
