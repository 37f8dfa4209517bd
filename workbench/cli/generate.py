"""Stage 1: `generate` in a workspace or from file to file, premises from scratch, LLMs, prompt sets."""

import argparse
import json
import shlex
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from rich.console import Console
from rich.progress import track

from pipeline.config import GenerationConfig
from pipeline.generation.llms import loading, registry
from pipeline.generation.triplets import generate
from pipeline.premises import read_premises
from pipeline.records import GeneratedTriplet, InputError
from pipeline.settings import from_fields
from workbench.cli.main import (
    Call,
    access,
    ask,
    print_line,
    print_table,
    require_file,
    require_here,
    settings,
    watch,
    write_json,
)


def run_generate(options: argparse.Namespace) -> None:
    """Generate from a file to a file, or as a job of the workspace."""
    config = from_fields(GenerationConfig, settings(options))
    write_json(options.json, in_workspace(options) if options.out is None else to_file(options, config))


def in_workspace(options: argparse.Namespace) -> dict[str, Any]:
    """Queue the job, follow it, print its outcomes."""
    with access(options) as call:
        corpus = options.corpus
        if options.premises is not None:
            path = str(require_file(options.premises))
            corpus = call("import_premises", path=path, column=options.column)["corpus_id"]
        if corpus is None:
            raise InputError("generate needs --corpus NAME of the workspace, or --premises FILE.")
        asked = {"corpus_id": corpus, "config": settings(options), "limit": options.limit}
        if (cost := call("generation_cost", **asked))["calls"]:
            tokens = f"{cost['prompt_tokens']:,} prompt and {cost['reply_tokens']:,} reply tokens"
            print_line(f"About {cost['calls']:,} calls: {tokens}, {cost['money']:.2f} money.")
        started = call("start_generate", **asked, on=options.on)
        view = watch(call, started["job_id"], label="Generating")
    print_outcomes(view["details"].get("outcomes", {}))
    return {**started, "outcomes": view["details"].get("outcomes", {})}


def to_file(options: argparse.Namespace, config: GenerationConfig) -> dict[str, Any]:
    """Write one JSON line per premise, in the order of completion; a stopped run leaves whole lines."""
    if options.premises is None:
        raise InputError("generate --out needs --premises FILE.")
    require_here(options, "--out")
    read = read_premises(require_file(options.premises), name=options.premises.name, column=options.column)
    premises = read.premises[: options.limit]
    try:
        entry = registry.entry_for(config.llm)
    except InputError as error:
        hint = "With --out no workspace is read; leave it out to use an LLM of the registry."
        raise InputError(f"{error} {hint}") from error
    started = time.monotonic()
    outcomes: Counter[str] = Counter()
    with options.out.open("w", encoding="utf-8") as out:
        written, shown = stream(premises, config, entry), Console(stderr=True)
        for item in track(written, total=len(premises), description="Generating", console=shown):
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


def stream(premises: list[Any], config: GenerationConfig, entry: registry.LLMEntry) -> Iterator[GeneratedTriplet]:
    """Load the LLM and generate."""
    with closing(loading.open_llm(entry, for_many=True, precision=config.precision)) as llm:
        yield from generate(premises, config, llm)


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


def show_llms(options: argparse.Namespace) -> None:
    """Print the registry."""
    answer = ask(options, "llms")
    print_llms(answer["llms"])
    write_json(options.json, answer)


def add_llm(options: argparse.Namespace) -> None:
    """Check an LLM and add it."""
    with access(options) as call:
        path = str(options.path.expanduser().resolve()) if options.path else None
        where = {"path": path, "url": options.url, "hub": options.hub, "revision": options.revision or ""}
        where["preset"] = options.preset
        started = call("add_llm", name=options.name, settings=settings(options), **where)
        followed(call, started, options)


def check_llm(options: argparse.Namespace) -> None:
    """Check an LLM again."""
    with access(options) as call:
        followed(call, call("check_llm", name=options.name), options)


def remove_llm(options: argparse.Namespace) -> None:
    """Take an LLM out of the registry."""
    answer = ask(options, "remove_llm", name=options.name)
    print_line(f"{answer['name']} is removed; its files and what it wrote stay.")
    write_json(options.json, answer)


def followed(call: Call, started: dict[str, Any], options: argparse.Namespace) -> None:
    """Wait for a check and print what it found."""
    watch(call, started["job_id"], label="Checking")
    [found] = [llm for llm in call("llms")["llms"] if llm["entry"]["name"] == started["name"]]
    print_llms([found])
    entry = found["entry"]
    if entry["left_out"]:
        print_line(f"The server refuses {', '.join(entry['left_out'])}: its own defaults are used.")
    if entry["thinking"]:
        print_line(f"Thinks as little as it can by {entry['thinking']}.")
    print_line(f"Sample reply: {found['sample']}")
    write_json(options.json, found)


def print_llms(llms: list[dict[str, Any]]) -> None:
    """Print one line per LLM."""
    rows = [
        (
            llm["entry"]["name"],
            llm["entry"]["kind"],
            llm["state"],
            llm["contrast"] or None,
            llm["entry"]["speaks"] or None,
            llm["context_length"],
            None if llm["tokens_per_s"] is None else f"{llm['tokens_per_s']:.0f}",
            llm["entry"]["digest"][:19] or None,
        )
        for llm in llms
    ]
    print_table("LLMs", ("name", "kind", "state", "contrast", "form", "context", "tokens/s", "weights"), rows)


def write_premises(options: argparse.Namespace) -> None:
    """Queue the job, follow it, print how many sentences were kept, and the name of the corpus."""
    with access(options) as call:
        started = call("start_write_premises", config=settings(options), name=options.name, on=options.on)
        view = watch(call, started["job_id"], label="Writing premises")
    details = view["details"]
    print_table("Written sentences", ("outcome", "sentences"), list(details.get("outcomes", {}).items()))
    print_line(view["message"])
    print_line(f"Next: python -m workbench generate --corpus {shlex.quote(started['name'])}")
    write_json(options.json, {**started, "premises": view["done"], **details})


def show_prompts(options: argparse.Namespace) -> None:
    """List the newest version of every set."""
    answer = ask(options, "prompt_sets")
    rows = [(item["prompt_set_id"], item["version"], item["about"]) for item in answer["prompt_sets"]]
    print_table("Prompt sets", ("name", "version", "about"), rows)
    write_json(options.json, answer)


def save_prompts(options: argparse.Namespace) -> None:
    """Save a JSON file, of the form that `prompts list --json` writes, as the next version of its name."""
    try:
        prompts = json.loads(require_file(options.file).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{options.file} is not valid JSON: {error}.") from error
    answer = ask(options, "save_prompt_set", prompts=prompts)
    print_line(f"Saved as {answer['prompt_set']}.")
    write_json(options.json, answer)
