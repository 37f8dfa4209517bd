"""`encoders`: those of the workspace, and one trained elsewhere taken in by its folder."""

import argparse
from pathlib import Path

from workbench.cli.access import access
from workbench.cli.output import print_line, print_table, write_json
from workbench.workspace import workspace_root


def show(options: argparse.Namespace) -> None:
    """Print every encoder that can be named."""
    with access(workspace_root(options.workspace)) as call:
        answer = call("encoders")
    rows = [(row["name"], row["origin"], row.get("base"), row.get("folder")) for row in answer["encoders"]]
    print_table("Encoders", ("name", "origin", "trained from", "folder"), rows)
    write_json(options.json, answer)


def add(options: argparse.Namespace) -> None:
    """Add the encoder of a folder; one that is there already is answered again."""
    # Absolute before it is handed on: a server that owns the workspace stands in another folder.
    folder = str(Path(options.folder).expanduser().resolve()) if options.folder.strip() else ""
    with access(workspace_root(options.workspace)) as call:
        answer = call("add_encoder", folder=folder, name=options.name)
    print_line(f"{answer['name']} is an encoder of the workspace; its files stay in {folder}.")
    write_json(options.json, answer)
