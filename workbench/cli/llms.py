"""`llms`: the registry of LLMs."""

import argparse
from typing import Any

from workbench.cli.access import Call, access
from workbench.cli.output import print_line, print_table, write_json
from workbench.cli.parser import settings
from workbench.cli.watch import watch


def show(options: argparse.Namespace) -> None:
    """Print the registry."""
    from workbench.workspace import workspace_root

    with access(workspace_root(options.workspace)) as call:
        answer = call("llms")
    print_llms(answer["llms"])
    write_json(options.json, answer)


def add(options: argparse.Namespace) -> None:
    """Check an LLM and add it."""
    from workbench.workspace import workspace_root

    with access(workspace_root(options.workspace)) as call:
        path = str(options.path.expanduser().resolve()) if options.path else None
        where = {"path": path, "url": options.url, "hub": options.hub, "revision": options.revision or ""}
        started = call("add_llm", name=options.name, settings=settings(options), **where)
        followed(call, started, options)


def check(options: argparse.Namespace) -> None:
    """Check an LLM again."""
    from workbench.workspace import workspace_root

    with access(workspace_root(options.workspace)) as call:
        followed(call, call("check_llm", name=options.name), options)


def remove(options: argparse.Namespace) -> None:
    """Take an LLM out of the registry."""
    from workbench.workspace import workspace_root

    with access(workspace_root(options.workspace)) as call:
        answer = call("remove_llm", name=options.name)
    print_line(f"{answer['name']} is removed; its files and what it wrote stay.")
    write_json(options.json, answer)


def followed(call: Call, started: dict[str, Any], options: argparse.Namespace) -> None:
    """Wait for a check and print what it found."""
    watch(call, started["job_id"], label="Checking")
    [found] = [llm for llm in call("llms")["llms"] if llm["entry"]["name"] == started["name"]]
    print_llms([found])
    print_line(f"It wrote: {found['sample']}")
    write_json(options.json, found)


def print_llms(llms: list[dict[str, Any]]) -> None:
    """Print one line per LLM."""
    rows = [
        (
            llm["entry"]["name"],
            llm["entry"]["kind"],
            llm["state"],
            llm["contrast"] or None,
            llm["context_length"],
            None if llm["tokens_per_s"] is None else f"{llm['tokens_per_s']:.0f}",
            llm["entry"]["digest"][:19] or None,
        )
        for llm in llms
    ]
    print_table("LLMs", ("name", "kind", "state", "contrast", "context", "tokens/s", "weights"), rows)
