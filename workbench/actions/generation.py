"""Stage 1: start a generation job over a corpus."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from pipeline.config import NOT_SENT, GenerationConfig, from_fields
from pipeline.errors import InputError
from pipeline.generation.llms.entries import LLMEntry
from pipeline.generation.prompts import PromptSet
from pipeline.records import Outcome
from workbench.actions.llms import resolve_llm
from workbench.jobs.kinds import GenerateSpec
from workbench.prompt_sets import PromptSets
from workbench.store.filters import TripletFilter
from workbench.workspace import Workspace

_EARLIER_ATTEMPTS = 20
_NAMED = 5


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
    spec = GenerateSpec(*whole(workspace, settings), corpus=corpus.name, corpus_id=corpus.corpus_id, origin=origin)
    job_id = workspace.jobs.submit(replace(spec, earlier=_earlier(workspace, spec)), frame, title=title)
    return {"job_id": job_id, "attempt_id": job_id, "premises": len(frame)}


def _earlier(workspace: Workspace, spec: GenerateSpec) -> tuple[str, ...]:
    """Return the attempts whose rows may serve this one, newest first; its worker looks at each row's own key."""
    alike = workspace.jobs.of(GenerateSpec, lambda other: _asks(other) == _asks(spec))
    return tuple(job.job_id for job in alike[:_EARLIER_ATTEMPTS])


def _asks(spec: GenerateSpec) -> tuple[Any, ...]:
    """What a job asks its LLM, without what changes no text."""
    asked = {name: value for name, value in asdict(spec.config).items() if name not in NOT_SENT}
    prompts = spec.prompts
    sides = (prompts.positive, prompts.hard_negative) if prompts else ()
    return asked | {"llm": "", "prompt_set": ""}, sides


def start_retry(workspace: Workspace, *, attempt_id: str, outcome: str, config: dict[str, Any]) -> dict[str, Any]:
    """Queue, as a new attempt, the premises with this outcome on at least one side; the first attempt stays."""
    if outcome not in set(Outcome) - {Outcome.OK}:
        raise InputError(f"There is nothing to retry about {outcome!r}; name an outcome other than ok.")
    settings = from_fields(GenerationConfig, config)
    rows = workspace.store.triplets.rows(TripletFilter(attempt_ids=(attempt_id,), outcome=outcome))
    if rows.empty:
        raise InputError(f"No row of {attempt_id} is {outcome}: there is nothing to retry.")
    frame = rows[["premise_id", "premise"]].rename(columns={"premise": "text"}).drop_duplicates("premise_id")
    spec = GenerateSpec(
        *whole(workspace, settings),
        corpus="retried",
        origin=f"retry of {outcome}: {attempt_id}",
        retries=attempt_id,
        outcome=outcome,
    )
    title = f"Retry of {len(frame)} {outcome.replace('_', ' ')}, {settings.llm}, omega {settings.omega:g}"
    job_id = workspace.jobs.submit(spec, frame, title=title)
    return {"job_id": job_id, "attempt_id": job_id, "premises": len(frame)}


def whole(workspace: Workspace, settings: GenerationConfig) -> tuple[GenerationConfig, PromptSet, LLMEntry]:
    """Return settings, prompts and LLM as a job is given them: it asks neither library nor registry for them."""
    prompts = PromptSets(workspace.root).find(settings.prompt_set)
    return replace(settings, prompt_set=prompts.ref), prompts, resolve_llm(workspace, settings.llm)


def known_attempts(workspace: Workspace, attempt_ids: Sequence[str]) -> list[str]:
    """Return these attempts. Raises InputError for one that holds no triplet here, naming some of those that do."""
    known = workspace.store.triplets.attempts()["attempt_id"].tolist()
    for attempt_id in attempt_ids:
        if attempt_id not in known:
            names = ", ".join(known[:_NAMED]) or "none yet"
            raise InputError(f"There is no attempt {attempt_id!r} with triplets in this workspace (it has {names}).")
    return list(attempt_ids)


def find_corpus(workspace: Workspace, corpus_id: str) -> Any:
    """Return a corpus by id or by name. Raises InputError that lists those there are."""
    corpora = workspace.store.premises.corpora()
    for corpus in corpora:
        if corpus_id in (corpus.corpus_id, corpus.name):
            return corpus
    names = ", ".join(corpus.name for corpus in corpora) or "none yet"
    raise InputError(f"There is no corpus {corpus_id!r} in this workspace (it has {names}): import premises first.")
