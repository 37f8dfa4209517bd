"""Settings of training as text: JSON, as a run shows them and keeps them beside its encoder, or YAML."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from pipeline.config import TrainConfig, from_fields
from pipeline.errors import InputError
from pipeline.studies.file_fields import FileFields, read_yaml

MOST_CHARACTERS = 20_000


def read_settings(text: str) -> dict[str, Any]:
    """Return all settings, defaults where the text names none. Raises InputError in one sentence."""
    where = "The pasted settings"
    if not text.strip():
        raise InputError(f"{where} are empty: paste JSON or YAML such as steps: 200.")
    if len(text) > MOST_CHARACTERS:
        raise InputError(f"{where} are longer than {MOST_CHARACTERS:,} characters; paste those of one run.")
    try:
        found = read_yaml(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(
            f"{where} are neither JSON nor YAML ({' '.join(str(error).split())[:200]}); correct them."
        ) from error
    if isinstance(found, dict) and set(found) == {"train"}:
        found = found["train"]  # the block of a study file
    fields = FileFields(where, Path()).mapping(found, tuple(TrainConfig.__dataclass_fields__), "")
    return asdict(from_fields(TrainConfig, fields))
