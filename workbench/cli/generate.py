"""`generate`: stage 1, in a workspace or from a file to a file."""

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.progress import track

from pipeline.config import GenerationConfig, from_fields
from pipeline.errors import InputError
from pipeline.records import GeneratedTriplet
from workbench.cli.access import access
from workbench.cli.output import print_line, print_table, write_json
from workbench.cli.parser import settings
from workbench.cli.watch import require_file, watch


def run(options: argparse.Namespace) -> None:
    """Generate from a file to a file, or as a job of the workspace."""
    config = from_fields(GenerationConfig, settings(options))
    if options.out is not None:
        answer = to_file(options, config)
    else:
        answer = in_workspace(options)
    write_json(options.json, answer)


def in_workspace(options: argparse.Namespace) -> dict[str, Any]:
    """Queue the job, follow it, print its outcomes."""
    from workbench.workspace import workspace_root

    with access(workspace_root(options.workspace)) as call:
        corpus = options.corpus
        if options.premises is not None:
            path = str(require_file(options.premises))
            corpus = call("import_premises", path=path, column=options.column)["corpus_id"]
        if corpus is None:
            raise InputError("generate needs --corpus NAME of the workspace, or --premises FILE.")
        started = call("start_generate", corpus_id=corpus, config=settings(options), limit=options.limit)
        view = watch(call, started["job_id"], label="Generating")
    print_outcomes(view["details"].get("outcomes", {}))
    return {**started, "outcomes": view["details"].get("outcomes", {})}


def to_file(options: argparse.Namespace, config: GenerationConfig) -> dict[str, Any]:
    """Write one JSON line per premise, in the order of completion; a stopped run leaves whole lines."""
    if options.premises is None:
        raise InputError("generate --out needs --premises FILE.")
    from pipeline.premises import read_premises

    read = read_premises(require_file(options.premises), name=options.premises.name, column=options.column)
    premises = read.premises[: options.limit]
    started = time.monotonic()
    outcomes: Counter[str] = Counter()
    with options.out.open("w", encoding="utf-8") as out:
        for item in track(
            stream(premises, config), total=len(premises), description="Generating", console=Console(stderr=True)
        ):
            out.write(json.dumps(line(item, config), ensure_ascii=False) + "\n")
            out.flush()
            outcomes[f"positive {item.positive.outcome}"] += 1
            outcomes[f"hard negative {item.hard_negative.outcome}"] += 1
    seconds = time.monotonic() - started
    print_outcomes(dict(outcomes))
    print_line(
        f"{len(premises)} premises in {seconds:.0f} s, {2 * len(premises) / max(seconds, 1e-9):.2f} sentences/s"
    )
    return {"premises": len(premises), "rejected": len(read.rejected), "seconds": seconds, "outcomes": dict(outcomes)}


def stream(premises: list[Any], config: GenerationConfig) -> Iterator[GeneratedTriplet]:
    """Load the LLM and generate."""
    from pipeline.generation.generate import generate
    from pipeline.generation.llms.entries import entry_for
    from pipeline.generation.llms.opening import open_llm

    llm = open_llm(entry_for(config.llm), for_many=True)
    try:
        yield from generate(premises, config, llm)
    finally:
        llm.close()


def line(item: GeneratedTriplet, config: GenerationConfig) -> dict[str, Any]:
    """Return the JSON line of one premise."""
    return {
        "premise": item.premise.text,
        "positive": item.positive.text,
        "hard_negative": item.hard_negative.text,
        "outcome": {"positive": str(item.positive.outcome), "hard_negative": str(item.hard_negative.outcome)},
        "contrast": str(item.contrast),
        "omega": config.omega,
        "seed": config.seed,
        "llm": config.llm,
    }


def print_outcomes(outcomes: dict[str, int]) -> None:
    """Print how the sentences of each side ended."""
    print_table("Outcomes", ("side and outcome", "sentences"), sorted(outcomes.items()))
