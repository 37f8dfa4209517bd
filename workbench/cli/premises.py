"""`write-premises`: a corpus from scratch."""

import argparse
import shlex

from workbench.cli.access import access
from workbench.cli.output import print_line, print_table, write_json
from workbench.cli.parser import settings
from workbench.cli.watch import watch
from workbench.workspace import workspace_root


def run(options: argparse.Namespace) -> None:
    """Queue the job, follow it, print how the attempts ended and what the corpus is called."""
    with access(workspace_root(options.workspace)) as call:
        started = call("start_write_premises", config=settings(options), name=options.name)
        view = watch(call, started["job_id"], label="Writing premises")
    details = view["details"]
    outcomes = details.get("outcomes", {})
    print_table("Attempts", ("outcome", "sentences"), list(outcomes.items()))
    print_line(view["message"])
    print_line(f"Go on with: python -m workbench generate --corpus {shlex.quote(started['name'])}")
    write_json(options.json, {**started, "premises": view["done"], **details})
