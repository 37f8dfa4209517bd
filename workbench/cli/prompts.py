"""`prompts`: the prompt sets of a workspace."""

import argparse
import json

from pipeline.errors import InputError
from workbench.cli.access import access
from workbench.cli.output import print_line, print_table, write_json
from workbench.cli.watch import require_file
from workbench.workspace import workspace_root


def show(options: argparse.Namespace) -> None:
    """List the newest version of every set."""
    with access(workspace_root(options.workspace)) as call:
        answer = call("prompt_sets")
    rows = [(item["prompt_set_id"], item["version"], item["about"]) for item in answer["prompt_sets"]]
    print_table("Prompt sets", ("name", "version", "about"), rows)
    write_json(options.json, answer)


def save(options: argparse.Namespace) -> None:
    """Save a JSON file, of the form that `prompts list --json` writes, as the next version of its name."""
    try:
        prompts = json.loads(require_file(options.file).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{options.file} is no JSON: {error}.") from error
    with access(workspace_root(options.workspace)) as call:
        answer = call("save_prompt_set", prompts=prompts)
    print_line(f"Saved as {answer['prompt_set']}.")
    write_json(options.json, answer)
