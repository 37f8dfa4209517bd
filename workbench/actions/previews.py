"""Short jobs that show what an LLM would do: grid preview, contrast lens, free prompt, token count."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from pipeline.config import GenerationConfig, from_fields
from pipeline.errors import InputError
from pipeline.records import Side
from workbench.actions.generation import generation_spec
from workbench.actions.llms import resolve_llm
from workbench.workspace import Workspace

PREVIEW_PREMISES: Final = 5
PREVIEW_OMEGAS: Final = 4
_USABLE: Final = frozenset({"queued", "running", "finished"})


def start_grid(
    workspace: Workspace, *, premises: Sequence[str], omegas: Sequence[float], config: dict[str, Any]
) -> dict[str, Any]:
    """Queue a few premises at several values of omega; a preview made before with the same settings is answered."""
    texts, values = _texts(premises)[:PREVIEW_PREMISES], sorted(set(omegas))[:PREVIEW_OMEGAS]
    if not values:
        raise InputError("Choose at least one value of omega to preview.")
    for value in values:
        from_fields(GenerationConfig, config | {"omega": value})
    spec = generation_spec(workspace, from_fields(GenerationConfig, config | {"omega": values[-1]}))
    spec |= {"premises": texts, "omegas": values}
    return _started(workspace, "grid", spec, f"Preview of {len(texts)} premises")


def start_lens(workspace: Workspace, *, premise: str, side: str, config: dict[str, Any]) -> dict[str, Any]:
    """Queue the contrast lens on one side of a premise; one recorded before with the same settings is answered."""
    [text] = _texts([premise])
    try:
        wanted = Side(side)
    except ValueError as error:
        raise InputError(f"{side} is no side of a triplet; choose positive or hard_negative.") from error
    spec = generation_spec(workspace, from_fields(GenerationConfig, config))
    spec |= {"premise": text, "side": str(wanted)}
    return _started(workspace, "lens", spec, f"Lens: {text[:60]}")


def start_ask(
    workspace: Workspace,
    *,
    llm: str,
    prompt: str,
    max_new_tokens: int = 64,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
) -> dict[str, Any]:
    """Queue a raw prompt, to see how an LLM goes on from it."""
    if not prompt.strip():
        raise InputError("The prompt is empty: write what the LLM should go on from.")
    settings = GenerationConfig(
        llm=llm, max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p, seed=seed
    )
    spec = {"llm": resolve_llm(workspace, llm).to_json(), "config": asdict(settings), "prompt": prompt}
    return _started(workspace, "ask", spec, f"Prompt: {' '.join(prompt.split())[:60]}")


def count_tokens(workspace: Workspace, *, llm: str, texts: Sequence[str]) -> dict[str, Any]:
    """Queue the counting of the tokens of these texts; counts made before are answered, failed ones too.

    Pages ask for counts whenever they are drawn: what cannot be counted must not be tried again each time.
    """
    spec = {"llm": resolve_llm(workspace, llm).to_json(), "texts": list(texts)}
    return _started(workspace, "tokens", spec, "Token count", usable=_USABLE | {"failed"})


def _texts(texts: Sequence[str]) -> list[str]:
    found = [text for text in dict.fromkeys(" ".join(text.split()) for text in texts) if text]
    if not found:
        raise InputError("There is no premise to look at: type or choose one.")
    return found


def _started(
    workspace: Workspace, kind: str, spec: dict[str, Any], title: str, *, usable: frozenset[str] = _USABLE
) -> dict[str, Any]:
    spec = json.loads(json.dumps(spec))  # as it will be read back: tuples are lists there
    for job in workspace.jobs.list():
        if job.kind == kind and job.spec == spec and job.state in usable:
            return {"job_id": job.job_id}
    return {"job_id": workspace.jobs.submit(kind, spec, title=title)}
