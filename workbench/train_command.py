"""A training run as the command and the settings file that repeat it."""

import json
import shlex
from dataclasses import asdict, fields
from typing import Any

from pipeline.config import TrainConfig, from_fields


def changed_settings(config: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that differ from the defaults."""
    defaults = asdict(TrainConfig())
    return {name: value for name, value in config.items() if value != defaults[name]}


def train_command(config: dict[str, Any], *, snapshot: str, sts_dir: str = "", hold_out: bool = False) -> str:
    """Return the command line of this run, one option per line; words are quoted for a shell."""
    kinds = {field.name: field.type for field in fields(TrainConfig)}
    parts = ["python -m workbench train", f"--snapshot {shlex.quote(snapshot)}"]
    for name, value in changed_settings(config).items():
        option = name.replace("_", "-")
        if kinds[name] is bool:
            parts.append(f"--{option}" if value else f"--no-{option}")
        elif value is not None:
            parts.append(f"--{option} {shlex.quote(f'{value:g}' if isinstance(value, float) else str(value))}")
    if sts_dir:
        parts.append(f"--sts-dir {shlex.quote(sts_dir)}")
    if hold_out:
        parts.append("--hold-out")
    return " \\\n  ".join(parts)


def settings_file(config: dict[str, Any]) -> str:
    """Return all settings as JSON, as train_config.json beside a trained encoder has them."""
    return json.dumps(asdict(from_fields(TrainConfig, config)), indent=2)
