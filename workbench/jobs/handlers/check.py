"""The check of an LLM as a job: what it finds, or why it failed, becomes the LLM's row in the registry."""

from dataclasses import replace
from typing import Any

from pipeline.errors import InputError
from pipeline.generation.llms.check import check
from pipeline.generation.llms.entries import LLMEntry, entry_for
from pipeline.hub_files import HubName, fetch_model
from pipeline.weights import cache_dir
from workbench.ids import now
from workbench.jobs.context import JobContext
from workbench.jobs.fetching import telling
from workbench.jobs.kinds import CheckSpec, HubModel


def run(context: JobContext[CheckSpec]) -> None:
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
