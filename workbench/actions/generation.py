"""Stage 1: generation runs, their retries, previews of a few premises, prompt sets."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Annotated, Any, Final

import pandas as pd

from pipeline.config import NOT_SENT, GenerationConfig, plain
from pipeline.generation.llms.costs import expected_usage
from pipeline.generation.llms.meter import Usage
from pipeline.generation.llms.registry import FormChoice, LLMEntry
from pipeline.generation.prompts import PromptSet
from pipeline.records import InputError, Outcome, Side
from pipeline.settings import from_fields
from workbench.actions.call import Answer, action
from workbench.actions.models import resolve_llm
from workbench.jobs import places
from workbench.jobs.folder import USABLE, State
from workbench.jobs.kinds import AskSpec, GenerateSpec, GridSpec, JobSpec, LensSpec, TokensSpec
from workbench.store.files import PromptSets
from workbench.store.filters import TripletFilter
from workbench.store.premises import Corpus
from workbench.store.votes import Votes
from workbench.workspace import Workspace

_EARLIER_ATTEMPTS = 20
_COST_SAMPLE: Final = 100
"""Premises that a run's cost is estimated from."""
_NAMED = 5
PREVIEW_PREMISES: Final = 5
PREVIEW_OMEGAS: Final = 4
_TEMPERATURE: Final = 0.7
_TOP_P: Final = 0.95
"""For sampling a reply other than the most likely one."""


@action
def start_generate(
    workspace: Workspace,
    *,
    corpus_id: str,
    config: Annotated[dict[str, Any], GenerationConfig],
    limit: int | None = None,
    title: str = "",
    origin: str = "",
    on: str = places.LOCAL,
) -> Answer:
    """Queue the generation of one triplet for each of the first `limit` premises of a corpus.

    `origin` says what the premises were chosen for; every triplet keeps it. `on`: local, gpu:NUMBER, ray or
    ray:ADDRESS.
    """
    settings = from_fields(GenerationConfig, config)
    if limit is not None and limit < 1:
        raise InputError(f"The number of premises must be at least 1, got {limit}.")
    corpus = find_corpus(workspace, corpus_id)
    title = title or f"{corpus.name}, {settings.llm}, omega {settings.omega:g}"
    asked = resolved(workspace, settings)
    places.require_own_llm(on, asked[2].kind)
    spec = GenerateSpec(
        *asked,
        corpus=corpus.name,
        corpus_id=corpus.corpus_id,
        origin=origin,
        on=places.checked("generate", on),
    )
    spec = replace(spec, earlier=_earlier(workspace, spec))
    with workspace.store.premises.batches(corpus.corpus_id, limit) as rows:
        job_id = workspace.jobs.submit(spec, rows, title=title)
    return {"job_id": job_id, "attempt_id": job_id, "premises": min(corpus.premises, limit or corpus.premises)}


@action
def generation_cost(
    workspace: Workspace,
    *,
    corpus_id: str,
    config: Annotated[dict[str, Any], GenerationConfig],
    limit: int | None = None,
) -> Answer:
    """Return the calls, tokens and money that a run over a server will take, from a sample of its premises.

    All are 0 for an LLM of this machine.
    """
    settings, prompts, entry = resolved(workspace, from_fields(GenerationConfig, config))
    corpus = find_corpus(workspace, corpus_id)
    number = min(corpus.premises, limit or corpus.premises)
    if entry.kind != "remote":
        return asdict(Usage())
    sample = workspace.store.premises.page(corpus.corpus_id, limit=min(number, _COST_SAMPLE))["text"].tolist()
    usage, each = expected_usage(entry, settings, prompts, sample), number / max(1, len(sample))
    counts = {name: round(value * each) for name, value in asdict(usage).items() if name != "money"}
    return counts | {"money": usage.money * each}


def _earlier(workspace: Workspace, spec: GenerateSpec) -> tuple[str, ...]:
    """Return the runs whose rows may be reused, newest first; the worker compares each row's own key."""
    alike = workspace.jobs.of(GenerateSpec, lambda other: _asks(other) == _asks(spec))
    return tuple(job.job_id for job in alike[:_EARLIER_ATTEMPTS])


def _asks(spec: GenerateSpec) -> tuple[Any, ...]:
    """Return what a job asks its LLM, without the settings that change no text."""
    asked = {name: value for name, value in asdict(spec.config).items() if name not in NOT_SENT}
    prompts = spec.prompts
    sides = (prompts.positive, prompts.hard_negative) if prompts else ()
    return asked | {"llm": "", "prompt_set": ""}, sides


@action
def start_retry(
    workspace: Workspace, *, attempt_id: str, outcome: str, config: Annotated[dict[str, Any], GenerationConfig]
) -> Answer:
    """Queue, as a new generation run, the premises with this outcome on at least one side; the first run stays."""
    if outcome not in set(Outcome) - {Outcome.OK}:
        raise InputError(f"{outcome!r} cannot be retried; name an outcome other than ok.")
    settings = from_fields(GenerationConfig, config)
    rows = workspace.store.triplets.rows(TripletFilter(attempt_ids=(attempt_id,), outcome=outcome))
    if rows.empty:
        raise InputError(f"No row of {attempt_id} is {outcome}: there is nothing to retry.")
    frame = rows[["premise_id", "premise"]].rename(columns={"premise": "text"}).drop_duplicates("premise_id")
    spec = GenerateSpec(
        *resolved(workspace, settings),
        corpus="retried",
        origin=f"retry of {outcome}: {attempt_id}",
        retries=attempt_id,
        outcome=outcome,
    )
    title = f"Retry of {len(frame)} {outcome.replace('_', ' ')}, {settings.llm}, omega {settings.omega:g}"
    job_id = workspace.jobs.submit(spec, frame, title=title)
    return {"job_id": job_id, "attempt_id": job_id, "premises": len(frame)}


def resolved(workspace: Workspace, settings: GenerationConfig) -> tuple[GenerationConfig, PromptSet, LLMEntry]:
    """Return settings, prompts and LLM as a job needs them: its worker reads neither prompt sets nor registry."""
    prompts = PromptSets(workspace.root).find(settings.prompt_set)
    return replace(settings, prompt_set=prompts.ref), prompts, resolve_llm(workspace, settings.llm)


def checked_runs(workspace: Workspace, attempt_ids: Sequence[str]) -> list[str]:
    """Return these generation runs or imports. Raises InputError for an unknown one, naming some that exist."""
    known = workspace.store.triplets.attempts()["attempt_id"].tolist()
    for attempt_id in attempt_ids:
        if attempt_id not in known:
            names = ", ".join(known[:_NAMED]) or "none yet"
            raise InputError(f"There is no generation run {attempt_id!r} with triplets here (there are {names}).")
    return list(attempt_ids)


def find_corpus(workspace: Workspace, corpus_id: str) -> Corpus:
    """Return a corpus by id or by name. Raises InputError that lists the known ones."""
    corpora = workspace.store.premises.corpora()
    for corpus in corpora:
        if corpus_id in (corpus.corpus_id, corpus.name):
            return corpus
    names = ", ".join(corpus.name for corpus in corpora) or "none yet"
    raise InputError(f"There is no corpus {corpus_id!r} in this workspace (it has {names}): import premises first.")


@action
def start_grid(
    workspace: Workspace,
    *,
    premises: Sequence[str],
    omegas: Sequence[float],
    config: Annotated[dict[str, Any], GenerationConfig],
) -> Answer:
    """Queue a few premises at several values of omega, or return a preview made before with the same settings."""
    texts, values = _texts(premises)[:PREVIEW_PREMISES], sorted(set(omegas))[:PREVIEW_OMEGAS]
    if not values:
        raise InputError("Choose at least one value of omega to preview.")
    for value in values:
        from_fields(GenerationConfig, config | {"omega": value})
    settings = from_fields(GenerationConfig, config | {"omega": values[-1]})
    spec = GridSpec(*resolved(workspace, settings), tuple(texts), tuple(values))
    return started_once(workspace, spec, f"Preview of {len(texts)} premises")


@action
def start_lens(
    workspace: Workspace, *, premise: str, side: str, config: Annotated[dict[str, Any], GenerationConfig]
) -> Answer:
    """Queue the contrast lens on one side of a premise, or return one recorded before with the same settings."""
    [text] = _texts([premise])
    spec = LensSpec(*resolved(workspace, from_fields(GenerationConfig, config)), text, _side(side))
    return started_once(workspace, spec, f"Lens: {text[:60]}")


@action
def start_ask(workspace: Workspace, *, prompt: str, config: Annotated[dict[str, Any], GenerationConfig]) -> Answer:
    """Queue a raw prompt, to see how an LLM continues it; the settings of the contrast are ignored."""
    if not prompt.strip():
        raise InputError("The prompt is empty: write what the LLM should continue.")
    settings = plain(from_fields(GenerationConfig, config))
    spec = AskSpec(settings, resolve_llm(workspace, settings.llm), prompt)
    return started_once(workspace, spec, f"Prompt: {' '.join(prompt.split())[:60]}")


@action
def count_tokens(
    workspace: Workspace, *, llm: str, prompts: dict[str, Any], premise: str, side: str, form: FormChoice = "auto"
) -> Answer:
    """Queue both prompts of a premise as an LLM reads them, or return a count made before, even a failed one.

    form: auto for the LLM's own, completion or chat to see the other. Pages ask for counts on every redraw: a count
    that failed must not be repeated each time.
    """
    given = PromptSet.from_json({"version": 0} | prompts)
    entry = resolve_llm(workspace, llm)
    if form != "auto":
        entry = replace(entry, form=form, api="chat" if form == "chat" else entry.api)
    spec = TokensSpec(entry, given, premise, _side(side))
    return started_once(workspace, spec, "Token count", usable=USABLE | {"failed"})


def _texts(texts: Sequence[str]) -> list[str]:
    found = [text for text in dict.fromkeys(" ".join(text.split()) for text in texts) if text]
    if not found:
        raise InputError("There is no premise to preview: type or choose one.")
    return found


def started_once(workspace: Workspace, spec: JobSpec, title: str, *, usable: frozenset[State] = USABLE) -> Answer:
    """Queue a job, or return the newest one with an equal spec whose state is usable."""
    known = workspace.jobs.latest(type(spec), lambda other: other == spec, states=usable)
    return {"job_id": known.job_id if known else workspace.jobs.submit(spec, title=title)}


@action
def prompt_sets(workspace: Workspace) -> Answer:
    """Return the newest version of every prompt set: those that come with the workbench, then the saved ones."""
    return {"prompt_sets": [prompts.to_json() for prompts in PromptSets(workspace.root).newest()]}


@action
def save_prompt_set(workspace: Workspace, *, prompts: dict[str, Any]) -> Answer:
    """Save prompts as the next version of their name; earlier versions and the runs that used them stay."""
    saved = PromptSets(workspace.root).save(PromptSet.from_json({"version": 0} | prompts))
    return {"prompt_set": saved.ref, "version": saved.version}


@action
def start_regenerate(workspace: Workspace, *, triplet_id: str, side: str) -> Answer:
    """Queue another generation for this triplet's premise; the new side is offered in the queue."""
    wanted = _side(side)
    triplet = workspace.store.triplets.get(triplet_id)
    earlier = workspace.jobs.of(GenerateSpec, lambda spec: spec.replaces == triplet_id)
    standard = GenerationConfig()
    settings = GenerationConfig(
        llm=triplet["llm"] or standard.llm,
        prompt_set=triplet["prompt_set"] or standard.prompt_set,
        omega=standard.omega if triplet["omega"] is None else triplet["omega"],
        temperature=_TEMPERATURE,
        top_p=_TOP_P,
        seed=(triplet["seed"] or 0) + 1 + len(earlier),
    )
    spec = GenerateSpec(
        *resolved(workspace, settings),
        corpus="regenerated",
        origin=f"regenerated:{wanted}:{triplet_id}",
        replaces=triplet_id,
    )
    frame = pd.DataFrame({"premise_id": [triplet["premise_id"]], "text": [triplet["premise"]]})
    title = f"Another {wanted.replace('_', ' ')}"
    return {"job_id": workspace.jobs.submit(spec, frame, title=title), "seed": settings.seed}


@action
def vote(workspace: Workspace, *, comparison: str, pair_id: str, side: str, preferred: str, annotator: str) -> Answer:
    """Keep which of two replies a person prefers in a blind test; `preferred` is empty without a preference."""
    kept = Votes(workspace.root).add(comparison, pair_id, side=_side(side), preferred=preferred, annotator=annotator)
    return {"vote_id": kept.vote_id}


@action
def retract_vote(workspace: Workspace, *, comparison: str, annotator: str) -> Answer:
    """Take back this annotator's last vote of a blind test."""
    Votes(workspace.root).retract(comparison, annotator=annotator)
    return {"comparison": comparison}


def _side(side: str) -> Side:
    try:
        return Side(side)
    except ValueError as error:
        raise InputError(f"{side} is no side of a triplet; choose positive or hard_negative.") from error
