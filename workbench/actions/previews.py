"""Short jobs that show what an LLM would do: grid preview, contrast lens, free prompt, token count."""

from collections.abc import Sequence
from typing import Any, Final

from pipeline.config import GenerationConfig, from_fields, plain
from pipeline.errors import InputError
from pipeline.records import Side
from workbench.actions.generation import whole
from workbench.actions.llms import resolve_llm
from workbench.jobs.folder import USABLE, State
from workbench.jobs.kinds import AskSpec, GridSpec, JobSpec, LensSpec, TokensSpec
from workbench.workspace import Workspace

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
