"""`judge`: scores of a workspace's triplets."""

import argparse

from pipeline.errors import InputError
from workbench.cli.access import Call, access
from workbench.cli.output import write_json
from workbench.cli.watch import watch
from workbench.workspace import workspace_root


def judge(options: argparse.Namespace) -> None:
    """Score the triplets of the chosen attempts."""
    gold_dir = str(options.gold_dir.resolve()) if options.gold_dir else None
    with access(workspace_root(options.workspace)) as call:
        attempts = options.attempt or all_attempts(call)
        started = call("start_judge", attempt_ids=attempts, judges=options.judge, gold_dir=gold_dir)
        watch(call, started["job_id"], label="Judging")
    write_json(options.json, started)


def all_attempts(call: Call) -> list[str]:
    """Return every attempt of the workspace. Raises InputError when there is none."""
    attempts = [row["attempt_id"] for row in call("attempts")["attempts"]]
    if not attempts:
        raise InputError("This workspace holds no generated or imported triplets: run generate or import first.")
    return attempts
