"""`jobs`, `pause`, `finish`, `resume`, `cancel`."""

import argparse

from workbench.cli.access import access
from workbench.cli.output import print_table, write_json
from workbench.cli.watch import watch
from workbench.workspace import workspace_root


def run(options: argparse.Namespace) -> None:
    """List the jobs, newest first."""
    with access(workspace_root(options.workspace)) as call:
        answer = call("jobs")
    rows = [
        (job["job_id"], job["kind"], job["state"], f"{job['done']}/{job['total']}", job["title"], job["message"])
        for job in answer["jobs"]
    ]
    print_table("Jobs", ("id", "kind", "state", "done", "title", "message"), rows)
    write_json(options.json, answer)


def pause(options: argparse.Namespace) -> None:
    """Ask a job to pause."""
    steer(options, "pause")


def cancel(options: argparse.Namespace) -> None:
    """Ask a job to stop for good."""
    steer(options, "cancel")


def finish(options: argparse.Namespace) -> None:
    """Ask a training run to end at its next step and keep its encoder."""
    steer(options, "finish")


def move(options: argparse.Namespace) -> None:
    """Move a waiting job in its queue."""
    places = options.down if options.up is None else -options.up
    with access(workspace_root(options.workspace)) as call:
        write_json(options.json, call("move", job_id=options.job_id, places=places))


def resume(options: argparse.Namespace) -> None:
    """Go on with a job and follow it to its end."""
    with access(workspace_root(options.workspace)) as call:
        call("resume", job_id=options.job_id)
        view = watch(call, options.job_id, label="Resumed")
    write_json(options.json, view)


def steer(options: argparse.Namespace, action: str) -> None:
    """Send one control action."""
    with access(workspace_root(options.workspace)) as call:
        write_json(options.json, call(action, job_id=options.job_id))
