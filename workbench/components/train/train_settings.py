"""The settings of a run: preset and fields, pasting them, and writing them as a command or JSON."""

import json
import re
import shlex
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import streamlit as st
import yaml

from pipeline import mask_thresholds, train_config
from pipeline.records import InputError
from pipeline.settings import from_fields
from pipeline.studies.yaml_fields import FileFields, read_yaml
from pipeline.train_config import TRAIN_PRESETS, TrainConfig
from workbench.components.elements import errors_shown, plain
from workbench.components.settings_form import group_of, settings_form
from workbench.jobs.places import LOCAL

MOST_CHARACTERS = 20_000
_CARDS = Path("/proc/driver/nvidia/gpus")
_PRESET_WORDS = {
    "no mask": "Every other candidate of the batch is a negative.",
    "guide mask": "Candidates whose guide cosine with the premise exceeds φ are masked as false negatives.",
    "GIST": "Candidates that the guide places closer to the premise than its own positive are masked.",
    "released code": "As in the published code, in a stable form: masked candidates keep a logit of zero.",
    "unsupervised SimCSE": "Reads the premises only: the positive is the premise under another dropout.",
}
_DEV_EVERY = 25
_BASE, _VERSION, _ORIGIN = "train_base", "train_version", "train_origin"
_EXAMPLE = """{"encoder": "static-minilm",
 "steps": 100, "mask_rule": "phi"}"""


def gpu_names(folder: Path = _CARDS) -> list[str]:
    """Return the model of every NVIDIA GPU in the driver's order; empty without a driver."""
    cards = (card.read_text(encoding="utf-8", errors="replace") for card in sorted(folder.glob("*/information")))
    models = (re.search(r"^Model.*?:(.*)$", text, re.MULTILINE) for text in cards)
    return [found[1].strip() if found else "NVIDIA GPU" for found in models]


def devices() -> dict[str, str]:
    """Return the devices of this machine with their names on screen."""
    cards = {f"cuda:{number}": f"GPU {number}, {name}" for number, name in enumerate(gpu_names())}
    return {"auto": "auto: the first GPU, or the CPU" if cards else "auto: the CPU", "cpu": "CPU"} | cards


def start_from(config: dict[str, Any], *, origin: str = "that run") -> None:
    """Open the form with these settings as the preset "as ORIGIN". Call before the form is drawn."""
    known = {field.name for field in fields(TrainConfig)}
    st.session_state[_ORIGIN] = f"as {origin}"
    st.session_state[_BASE] = {name: value for name, value in config.items() if name in known}
    st.session_state[_VERSION] = st.session_state.get(_VERSION, 0) + 1


def train_settings() -> dict[str, Any]:
    """Draw preset and fields; return all settings."""
    version = st.session_state.get(_VERSION, 0)
    start: dict[str, Any] = asdict(TrainConfig()) | {"eval_every": _DEV_EVERY} | st.session_state.get(_BASE, {})
    given = st.session_state.get(_ORIGIN, "")
    options = [*([given] if given else []), *TRAIN_PRESETS]
    preset = st.pills(
        "Preset",
        options,
        default=given or "guide mask",
        format_func=plain,
        required=True,
        key=f"train_preset_{version}",
        wrap=True,
        persist_state="session",
    )
    base = start if preset == given else start | _of_preset(str(preset))
    st.caption(_PRESET_WORDS.get(str(preset), "The settings you started from, independent of any preset."))
    paste_settings()
    return base | _main_fields(base, f"train_{version}_{preset}", f"train_{version}")


def _of_preset(preset: str) -> dict[str, Any]:
    """Return the fields that a preset sets: all in which some preset differs from the defaults."""
    defaults = asdict(TrainConfig())
    decided = {
        name for other in TRAIN_PRESETS.values() for name, value in asdict(other).items() if value != defaults[name]
    }
    chosen = asdict(TRAIN_PRESETS[preset])
    return {name: chosen[name] for name in decided | {"mask_rule", "mask_threshold"}}


def _main_fields(base: dict[str, Any], of_preset: str, key: str) -> dict[str, Any]:
    """Draw all fields in groups; those that a preset sets start over when another preset is chosen."""
    devices_here = devices()
    with st.container(border=True):
        st.subheader("Encoder and steps", icon=":material/model_training:", anchor=False)
        values = settings_form(TrainConfig, ["encoder"], base, key=of_preset, columns=1)
        if base["device"] not in devices_here:
            st.caption(f"This machine has no device {base['device']}; auto is used instead.")
            base = base | {"device": "auto"}
        names = [name for name in group_of(TrainConfig, "") if name not in values]
        values |= settings_form(TrainConfig, names, base, key=key, offered={"device": devices_here})
    with st.container(border=True):
        st.subheader("False negatives", icon=":material/visibility_off:", anchor=False)
        values |= _mask_fields(base, of_preset)
    with st.expander("More settings"):
        values |= settings_form(TrainConfig, group_of(TrainConfig, train_config.MORE), base, key=of_preset)
    return values


def _mask_fields(base: dict[str, Any], key: str) -> dict[str, Any]:
    """Draw the mask rule, and the guide and threshold of a rule that masks, in that rule's range."""
    values = settings_form(TrainConfig, ["mask_rule"], base, key=key, columns=1)
    rule, unit = values["mask_rule"], "cosine"
    if rule == "none":
        return values
    if rule != "student":
        values |= settings_form(TrainConfig, ["guide"], base, key=key, columns=1)
    if rule in ("phi", "released"):
        unit = settings_form(TrainConfig, ["threshold_unit"], base, key=key, columns=1)["threshold_unit"]
    meaning = mask_thresholds.threshold_meaning(rule, unit)
    if meaning != mask_thresholds.threshold_meaning(base["mask_rule"], base["threshold_unit"]):
        base = base | {"mask_threshold": mask_thresholds.USUAL_THRESHOLDS[meaning]}
    declared = {"mask_threshold": mask_thresholds.MASK_THRESHOLDS[meaning]}
    values |= settings_form(
        TrainConfig, ["mask_threshold"], base, key=f"{key}_{meaning}", columns=1, declared=declared
    )
    return values | {"threshold_unit": unit}


def read_settings(text: str) -> dict[str, Any]:
    """Return all settings of a pasted text, with defaults for those it lacks. Raises InputError."""
    where = "The pasted settings"
    if not text.strip():
        raise InputError(f"{where} are empty: paste JSON or YAML such as steps: 100.")
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


def paste_settings() -> None:
    """Draw the popover; valid settings fill the form."""
    with st.popover("Paste settings", icon=":material/content_paste:"):
        text = st.text_area(
            "Settings as JSON or YAML",
            key="train_paste",
            height=220,
            placeholder=_EXAMPLE,
            help="From the Settings of a run, from an encoder's train_config.json, or the train block of a study.",
        )
        if st.button("Use them", type="primary", key="train_paste_use"):
            with errors_shown():
                start_from(read_settings(text), origin="pasted")
                st.rerun()


def changed_settings(config: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that differ from the defaults."""
    defaults = asdict(TrainConfig())
    return {name: value for name, value in config.items() if value != defaults[name]}


def train_command(
    config: dict[str, Any], *, snapshot: str, sts_dir: str = "", hold_out: bool = False, on: str = LOCAL
) -> str:
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
    if on != LOCAL:
        parts.append(f"--on {shlex.quote(on)}")
    return " \\\n  ".join(parts)


def settings_file(config: dict[str, Any]) -> str:
    """Return all settings as JSON, as in the train_config.json of a trained encoder."""
    return json.dumps(asdict(from_fields(TrainConfig, config)), indent=2)
