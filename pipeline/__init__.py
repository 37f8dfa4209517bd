"""The science: plain functions from data to data, without Streamlit and DuckDB.

What a notebook needs is offered here by name: `from pipeline import generate, train, evaluate`.
"""

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
__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    """Import a name on first use: a notebook loads torch only when it needs it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
