"""Specs for the quick handlers of stand_in_handlers/, which read what they should do from a field of free text."""

import json
from typing import Any

from pipeline.config import GenerationConfig
from workbench.jobs.kinds import GenerateSpec, JudgeSpec


def generating(**wanted: Any) -> GenerateSpec:
    """Generate in batches of `batch`, sleeping `delay_s` after each; `count` premises where there is no input."""
    return GenerateSpec(GenerationConfig(), origin=json.dumps(wanted))


def judging(how: str, rows: list[dict[str, Any]] | None = None) -> JudgeSpec:
    """End in the way that is named: input, crash, exit, rows (which are written), print."""
    return JudgeSpec((how,), (json.dumps(rows or []),))
