"""`doctor`: what this machine offers and what is wrong with it."""

import argparse
from dataclasses import asdict

from workbench.cli.output import print_table, write_json
from workbench.doctor import examine
from workbench.workspace import workspace_root


def run(options: argparse.Namespace) -> int:
    """Print every finding; exit status 1 when something must be mended."""
    findings = examine(workspace_root(options.workspace))
    rows = [(item.name, item.state, item.detail, item.advice) for item in findings]
    print_table("Doctor", ("what", "state", "found", "what to do"), rows)
    write_json(options.json, [asdict(item) for item in findings])
    return int(any(item.state == "error" for item in findings))
