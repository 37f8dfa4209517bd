"""Writing a side of a triplet anew: a job of one premise and another seed, whose triplet names the one it is for."""

from typing import Any, Final

import pandas as pd

from pipeline.config import GenerationConfig
from pipeline.errors import InputError
from pipeline.records import Side
from workbench.actions.generation import whole
from workbench.jobs.kinds import GenerateSpec
from workbench.workspace import Workspace

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
