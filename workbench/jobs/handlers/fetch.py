"""Tasks of the hub as files of the workspace. The only job that asks the network for anything."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.evaluation.hub_tasks import fetch_retrieval, fetch_sts, fetched, hub_rows
from pipeline.generation.llms.check import check
from pipeline.generation.llms.registry import LLMEntry, entry_for
from pipeline.hub_files import HubName, fetch_file, fetch_model
from pipeline.premises import PremiseFile, read_premises
from pipeline.records import InputError, UnreachableError
from pipeline.weights import cache_dir
from workbench.jobs.context import JobContext, telling
from workbench.jobs.kinds import CheckSpec, FetchPremisesSpec, FetchSpec, HubModel
from workbench.journal import Row, now


def run_fetch(context: JobContext[FetchSpec]) -> None:
    """Fetch the tasks that are not there yet; one that cannot be used is named at the end, and the rest goes on."""
    spec = context.spec
    folder, tasks = Path(spec.folder), spec.tasks
    fetch = fetch_sts if spec.kind == "sts" else fetch_retrieval
    failed: list[str] = []
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=context.out) as cache:
        for number, name in enumerate(tasks):
            context.progress(number, len(tasks), f"Fetching {name}")
            if context.stop_requested():
                return
            if name not in fetched(folder):
                try:
                    fetch(name, folder, hub_rows(Path(cache)))
                except UnreachableError:
                    raise  # the next task would wait for the same network
                except InputError as error:
                    failed.append(str(error))
    if len(failed) == len(tasks):
        raise InputError(failed[0])
    there = len(tasks) - len(failed)
    context.progress(len(tasks), len(tasks), " ".join([f"{there} of {len(tasks)} tasks are here.", *failed]))


def run_check(context: JobContext[CheckSpec]) -> None:
    """Check one LLM; a failed check is recorded too, and fails the job with its sentence."""
    entry = context.spec.entry
    if context.done("llms", "check_id"):
        return
    if context.spec.hub:
        entry = _fetched(context, entry, context.spec.hub)
    context.progress(0, 1, message=f"Checking {entry.name}")
    try:
        facts = check(entry, tell=lambda message: context.progress(0, 1, message=message))
    except InputError as error:
        context.write([_row(context, entry, state="failed", message=str(error))])
        raise
    found = {
        "contrast": str(facts.contrast),
        "context_length": facts.context_length,
        "tokens_per_s": facts.tokens_per_s,
        "load_s": facts.load_s,
        "sample": facts.sample,
    }
    context.write([_row(context, facts.entry, state="ok", message="", **found)])
    context.progress(1, 1, message=f"{entry.name} is ready")


def _fetched(context: JobContext[CheckSpec], entry: LLMEntry, hub: HubModel) -> LLMEntry:
    """Fetch the model of the hub that the job names; returns the entry of its local copy."""
    wanted = HubName.parse(hub.name, hub.revision)
    found = fetch_model(wanted, cache_dir() / "hub", tell=telling(context, f"Fetching {wanted.repository}"))
    local = entry_for(str(found.path))
    return replace(entry, kind=local.kind, location=local.location, source=found.name)


def _row(context: JobContext, entry: LLMEntry, **facts: Any) -> dict[str, Any]:
    return {
        "table": "llms",
        "check_id": context.job_id,
        "name": entry.name,
        "entry": entry.to_json(),
        "checked_at": now(),
        **facts,
    }


_BATCH = 5_000


def run_fetch_premises(context: JobContext[FetchPremisesSpec]) -> None:
    """Fetch the file, read its premises, write them as the rows of a corpus whose id is the job's."""
    spec = context.spec
    wanted = HubName.parse(spec.name, spec.revision)
    fetched = fetch_file(wanted, context.out, tell=telling(context, f"Fetching {wanted.file}"))
    if context.stop_requested():
        return
    context.progress(0, 1, message="Reading the premises")
    read = read_premises(Path(fetched.path), name=fetched.path.name, column=spec.column)
    if not read.premises:
        raise InputError(f"{fetched.name} holds no usable premise: choose another file or column.")
    limit = spec.limit or len(read.premises)
    rows = _rows(context.job_id, read, limit)
    context.write([_header(context, spec.corpus, fetched.name, read)])
    total, done = min(limit, len(read.premises)), 0
    while batch := list(islice(rows, _BATCH)):
        context.write(batch)
        done += len(batch)
        context.progress(done, total, message="Keeping the premises")


def _header(context: JobContext, name: str, origin: str, read: PremiseFile) -> Row:
    return {
        "table": "imports",
        "import_id": context.job_id,
        "kind": "corpus",
        "name": name,
        "origin": origin,
        "duplicates": read.duplicates,
        "rejected": read.reasons(),
        "created_at": now(),
    }


def _rows(corpus_id: str, read: PremiseFile, limit: int) -> Iterator[Row]:
    for position, premise in enumerate(read.premises[:limit]):
        yield {
            "table": "premises",
            "corpus_id": corpus_id,
            "position": position,
            "premise_id": premise.premise_id,
            "text": premise.text,
        }
