"""Stage 1: start a generation job over a corpus."""

from dataclasses import asdict, replace
from typing import Any

from pipeline.config import GenerationConfig, from_fields
from pipeline.errors import InputError
from workbench.actions.llms import resolve_llm
from workbench.prompt_sets import PromptSets
from workbench.workspace import Workspace


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
