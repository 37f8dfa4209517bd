"""The science: plain functions from data to data, without Streamlit and DuckDB.

What a notebook needs is offered here by name: `from pipeline import generate, train, evaluate`.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

_MODULES = {
    "GenerationConfig": "config",
    "CurationRule": "config",
    "TrainConfig": "train_config",
    "Premise": "records",
    "Triplet": "records",
    "read_premises": "premises",
    "read_triplets": "exchange",
    "write_triplets": "exchange",
    "load_encoder": "encoders",
    "entry_for": "generation.llms.registry",
    "open_llm": "generation.llms.loading",
    "generate": "generation.triplets",
    "prompt_set": "generation.prompt_sets",
    "load_judge": "curation.judges",
    "score_triplets": "curation.judges",
    "default_calibration": "curation.calibration",
    "keeps": "curation.rules",
    "funnel": "curation.rules",
    "train": "training.run",
    "read_tasks": "evaluation.sts",
    "evaluate": "evaluation.benchmark",
    "summary": "evaluation.benchmark",
    "held_out_accuracy": "evaluation.benchmark",
}


def offered(package: str) -> tuple[Callable[[str], Any], list[str]]:
    """Return `__getattr__` and `__all__` of this package or a stage's; a name is imported on first use.

    A notebook therefore loads torch only when it needs it.
    """
    modules = {name: f"{__name__}.{module}" for name, module in _MODULES.items()}
    own = {name: module for name, module in modules.items() if module.startswith(f"{package}.")}

    def find(name: str) -> Any:
        if name not in own:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(own[name]), name)

    return find, sorted(own)


__getattr__, __all__ = offered(__name__)
