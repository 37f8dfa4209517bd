"""Stage 1: start a generation job over a corpus."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, Final

import pandas as pd

from pipeline.config import NOT_SENT, GenerationConfig, from_fields, plain
from pipeline.generation.llms.registry import LLMEntry
from pipeline.generation.prompts import PromptSet
from pipeline.records import InputError, Outcome, Side
from workbench.actions.models import resolve_llm
from workbench.jobs.folder import USABLE, State
from workbench.jobs.kinds import AskSpec, GenerateSpec, GridSpec, JobSpec, LensSpec, TokensSpec
from workbench.store.filters import TripletFilter
from workbench.store.lists import PromptSets
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


PREVIEW_PREMISES: Final = 5
PREVIEW_OMEGAS: Final = 4


def start_grid(
    workspace: Workspace, *, premises: Sequence[str], omegas: Sequence[float], config: dict[str, Any]
) -> dict[str, Any]:
    """Queue a few premises at several values of omega; a preview made before with the same settings is answered."""
    texts, values = _texts(premises)[:PREVIEW_PREMISES], sorted(set(omegas))[:PREVIEW_OMEGAS]
    if not values:
        raise InputError("Choose at least one value of omega to preview.")
    for value in values:
        from_fields(GenerationConfig, config | {"omega": value})
    settings = from_fields(GenerationConfig, config | {"omega": values[-1]})
    spec = GridSpec(*whole(workspace, settings), tuple(texts), tuple(values))
    return _started(workspace, spec, f"Preview of {len(texts)} premises")


def start_lens(workspace: Workspace, *, premise: str, side: str, config: dict[str, Any]) -> dict[str, Any]:
    """Queue the contrast lens on one side of a premise; one recorded before with the same settings is answered."""
    [text] = _texts([premise])
    try:
        wanted = Side(side)
    except ValueError as error:
        raise InputError(f"{side} is no side of a triplet; choose positive or hard_negative.") from error
    spec = LensSpec(*whole(workspace, from_fields(GenerationConfig, config)), text, wanted)
    return _started(workspace, spec, f"Lens: {text[:60]}")


def start_ask(workspace: Workspace, *, prompt: str, config: dict[str, Any]) -> dict[str, Any]:
    """Queue a raw prompt, to see how an LLM goes on from it; of the settings those of the contrast do not count."""
    if not prompt.strip():
        raise InputError("The prompt is empty: write what the LLM should go on from.")
    settings = plain(from_fields(GenerationConfig, config))
    spec = AskSpec(settings, resolve_llm(workspace, settings.llm), prompt)
    return _started(workspace, spec, f"Prompt: {' '.join(prompt.split())[:60]}")


def count_tokens(workspace: Workspace, *, llm: str, texts: Sequence[str]) -> dict[str, Any]:
    """Queue the counting of the tokens of these texts; counts made before are answered, failed ones too.

    Pages ask for counts whenever they are drawn: what cannot be counted must not be tried again each time.
    """
    spec = TokensSpec(resolve_llm(workspace, llm), tuple(texts))
    return _started(workspace, spec, "Token count", usable=USABLE | {"failed"})


def _texts(texts: Sequence[str]) -> list[str]:
    found = [text for text in dict.fromkeys(" ".join(text.split()) for text in texts) if text]
    if not found:
        raise InputError("There is no premise to look at: type or choose one.")
    return found


def _started(workspace: Workspace, spec: JobSpec, title: str, *, usable: frozenset[State] = USABLE) -> dict[str, Any]:
    known = workspace.jobs.latest(type(spec), lambda other: other == spec, states=usable)
    return {"job_id": known.job_id if known else workspace.jobs.submit(spec, title=title)}


def prompt_sets(workspace: Workspace) -> dict[str, Any]:
    """Return the newest version of every prompt set: those that come with the workbench, then the saved ones."""
    return {"prompt_sets": [prompts.to_json() for prompts in PromptSets(workspace.root).newest()]}


def save_prompt_set(workspace: Workspace, *, prompts: dict[str, Any]) -> dict[str, Any]:
    """Save prompts as the next version of their name; earlier versions and the runs that used them stay."""
    saved = PromptSets(workspace.root).save(PromptSet.from_json({"version": 0} | prompts))
    return {"prompt_set": saved.ref, "version": saved.version}


_TEMPERATURE: Final = 0.7
_TOP_P: Final = 0.95
"""The best reply is known already, so another one is drawn."""


def start_regenerate(workspace: Workspace, *, triplet_id: str, side: str) -> dict[str, Any]:
    """Queue the generation of another triplet for this one's premise; its side is offered in the queue."""
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
        *whole(workspace, settings),
        corpus="regenerated",
        origin=f"regenerated:{wanted}:{triplet_id}",
        replaces=triplet_id,
    )
    frame = pd.DataFrame({"premise_id": [triplet["premise_id"]], "text": [triplet["premise"]]})
    title = f"Another {wanted.replace('_', ' ')}"
    return {"job_id": workspace.jobs.submit(spec, frame, title=title), "seed": settings.seed}


def _side(side: str) -> Side:
    try:
        return Side(side)
    except ValueError as error:
        raise InputError(f"{side} is no side of a triplet; choose positive or hard_negative.") from error
