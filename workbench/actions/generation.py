"""Stage 1: start a generation job over a corpus."""

import json
from dataclasses import asdict, replace
from typing import Any

from pipeline.config import GenerationConfig, from_fields
from pipeline.errors import InputError
from pipeline.records import Outcome
from workbench.actions.llms import resolve_llm
from workbench.prompt_sets import PromptSets
from workbench.store.filters import TripletFilter
from workbench.workspace import Workspace

_EARLIER_ATTEMPTS = 20


def start_generate(
    workspace: Workspace,
    *,
    corpus_id: str,
    config: dict[str, Any],
    limit: int | None = None,
    title: str = "",
    origin: str = "",
) -> dict[str, Any]:
    """Queue the generation of one triplet for each of the first `limit` premises of a corpus.

    `origin` says what the premises were chosen for; every triplet keeps it.
    """
    settings = from_fields(GenerationConfig, config)
    if limit is not None and limit < 1:
        raise InputError(f"The number of premises must be at least 1, got {limit}.")
    corpus = find_corpus(workspace, corpus_id)
    frame = workspace.store.premises.rows(corpus.corpus_id, limit=limit)
    title = title or f"{corpus.name}, {settings.llm}, omega {settings.omega:g}"
    spec = generation_spec(workspace, settings) | {"corpus_id": corpus.corpus_id, "corpus": corpus.name}
    if origin:
        spec["origin"] = origin
    spec["earlier"] = _earlier(workspace, spec)
    job_id = workspace.jobs.submit("generate", spec, frame, title=title)
    return {"job_id": job_id, "attempt_id": job_id, "premises": len(frame)}


def _earlier(workspace: Workspace, spec: dict[str, Any]) -> list[str]:
    """Return the attempts whose rows may serve this one, newest first; its worker looks at each row's own key."""
    alike = [job.job_id for job in workspace.jobs.list() if job.kind == "generate" and _asks(job.spec) == _asks(spec)]
    return alike[:_EARLIER_ATTEMPTS]


def _asks(spec: dict[str, Any]) -> str:
    """What a job asks its LLM, without what changes no text."""
    config = {name: value for name, value in spec.get("config", {}).items() if not name.endswith("_budget")}
    prompts = spec.get("prompts") or {}
    asked = [config | {"llm": "", "prompt_set": ""}, prompts.get("positive"), prompts.get("hard_negative")]
    return json.dumps(asked, sort_keys=True)


def start_retry(workspace: Workspace, *, attempt_id: str, outcome: str, config: dict[str, Any]) -> dict[str, Any]:
    """Queue, as a new attempt, the premises with this outcome on at least one side; the first attempt stays."""
    if outcome not in set(Outcome) - {Outcome.OK}:
        raise InputError(f"There is nothing to retry about {outcome!r}; name an outcome other than ok.")
    settings = from_fields(GenerationConfig, config)
    rows = workspace.store.triplets.rows(TripletFilter(attempt_ids=(attempt_id,), outcome=outcome))
    if rows.empty:
        raise InputError(f"No row of {attempt_id} is {outcome}: there is nothing to retry.")
    frame = rows[["premise_id", "premise"]].rename(columns={"premise": "text"}).drop_duplicates("premise_id")
    spec = generation_spec(workspace, settings) | {
        "corpus": "retried",
        "origin": f"retry of {outcome}: {attempt_id}",
        "retries": attempt_id,
        "outcome": outcome,
    }
    title = f"Retry of {len(frame)} {outcome.replace('_', ' ')}, {settings.llm}, omega {settings.omega:g}"
    job_id = workspace.jobs.submit("generate", spec, frame, title=title)
    return {"job_id": job_id, "attempt_id": job_id, "premises": len(frame)}


def generation_spec(workspace: Workspace, settings: GenerationConfig) -> dict[str, Any]:
    """What every job that generates is told: settings, prompts and LLM whole, to be independent of both."""
    prompts = PromptSets(workspace.root).find(settings.prompt_set)
    entry = resolve_llm(workspace, settings.llm)
    return {
        "config": asdict(replace(settings, prompt_set=prompts.ref)),
        "prompts": prompts.to_json(),
        "llm": entry.to_json(),
    }


def find_corpus(workspace: Workspace, corpus_id: str) -> Any:
    """Return a corpus by id or by name. Raises InputError that lists those there are."""
    corpora = workspace.store.premises.corpora()
    for corpus in corpora:
        if corpus_id in (corpus.corpus_id, corpus.name):
            return corpus
    names = ", ".join(corpus.name for corpus in corpora) or "none yet"
    raise InputError(f"There is no corpus {corpus_id!r} in this workspace (it has {names}): import premises first.")
