"""`call`: any action by name, with JSON in and out."""

import argparse
import json
import sys

from pipeline.errors import InputError
from workbench.cli.access import access
from workbench.cli.output import print_line, write_json
from workbench.workspace import workspace_root


def run(options: argparse.Namespace) -> None:
    """Call the action and print its answer."""
    from workbench.actions import ACTIONS

    if options.action not in ACTIONS:
        raise InputError(f"There is no action {options.action}; there are {', '.join(sorted(ACTIONS))}.")
    text = sys.stdin.read() if options.arguments == "-" else options.arguments
    try:
        arguments = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"The arguments of {options.action} are no JSON: {error}.") from error
    if not isinstance(arguments, dict):
        raise InputError(f"The arguments of {options.action} must be a JSON object of names and values.")
    with access(workspace_root(options.workspace)) as call:
        answer = call(options.action, **arguments)
    print_line(json.dumps(answer, indent=2, ensure_ascii=False))
    write_json(options.json, answer)
