"""The settings of a run: a preset, the few fields that matter, the rest in an expander."""

from dataclasses import asdict, fields
from typing import Any

import streamlit as st

from pipeline.config import TRAIN_PRESETS, TrainConfig
from pipeline.train_config import MASK_THRESHOLDS, MORE, USUAL_THRESHOLDS, threshold_meaning
from workbench.components.settings_form import group_of, settings_form
from workbench.gpus import devices

_PRESET_WORDS = {
    "no mask": "Every other candidate of the batch is a negative.",
    "guide mask": "Candidates whose guide cosine with the premise exceeds φ are left out as false negatives.",
    "GIST": "Candidates closer to the premise than its own positive, by the guide, are left out.",
    "released code": "The stable form of the published code: masked candidates keep a logit of zero.",
    "unsupervised SimCSE": "Reads the premises only: the positive is the premise again under other dropout.",
}
_DEV_EVERY = 25
_BASE, _VERSION, _ORIGIN = "train_base", "train_version", "train_origin"


def start_from(config: dict[str, Any], *, origin: str = "that run") -> None:
    """Let the form open with these settings, called "as ORIGIN"; call before the form is drawn."""
    known = {field.name for field in fields(TrainConfig)}
    st.session_state[_ORIGIN] = f"as {origin}"
    st.session_state[_BASE] = {name: value for name, value in config.items() if name in known}
    st.session_state[_VERSION] = st.session_state.get(_VERSION, 0) + 1


def train_settings() -> dict[str, Any]:
    """Draw preset and fields; returns every setting."""
    version = st.session_state.get(_VERSION, 0)
    start: dict[str, Any] = asdict(TrainConfig()) | {"eval_every": _DEV_EVERY} | st.session_state.get(_BASE, {})
    given = st.session_state.get(_ORIGIN, "")
    options = [*([given] if given else []), *TRAIN_PRESETS]
    preset = st.pills(
        "Preset",
        options,
        default=given or "guide mask",
        required=True,
        key=f"train_preset_{version}",
        wrap=True,
        persist_state="session",
    )
    base = start if preset == given else start | _of_preset(str(preset))
    st.caption(_PRESET_WORDS.get(str(preset), "The settings you started from, whatever each preset would say."))
    return base | _main_fields(base, f"train_{version}_{preset}", f"train_{version}")


def _of_preset(preset: str) -> dict[str, Any]:
    """Return the fields a preset decides: those in which any preset leaves the defaults."""
    defaults = asdict(TrainConfig())
    decided = {
        name for other in TRAIN_PRESETS.values() for name, value in asdict(other).items() if value != defaults[name]
    }
    chosen = asdict(TRAIN_PRESETS[preset])
    return {name: chosen[name] for name in decided | {"mask_rule", "mask_threshold"}}


def _main_fields(base: dict[str, Any], of_preset: str, key: str) -> dict[str, Any]:
    """Draw all fields; those that a preset decides start anew when another one is chosen."""
    values = settings_form(TrainConfig, ["encoder"], base, key=of_preset, columns=1)
    values |= settings_form(TrainConfig, ["steps", "batch_size", "learning_rate", "temperature"], base, key=key)
    values |= _mask_fields(base, of_preset)
    devices_here = devices()
    if base["device"] not in devices_here:
        st.caption(f"The device {base['device']} of that run is not on this machine; auto is taken.")
        base = base | {"device": "auto"}
    rest = [name for name in group_of(TrainConfig, "") if name not in values]
    values |= settings_form(TrainConfig, rest, base, key=key, offered={"device": devices_here})
    with st.expander("More settings"):
        values |= settings_form(TrainConfig, group_of(TrainConfig, MORE), base, key=of_preset)
    return values


def _mask_fields(base: dict[str, Any], key: str) -> dict[str, Any]:
    """Draw the mask: its rule, and the guide and threshold of a rule that masks, in the range of that rule."""
    values = settings_form(TrainConfig, ["mask_rule"], base, key=key, columns=1)
    rule, unit = values["mask_rule"], "cosine"
    if rule == "none":
        return values
    values |= settings_form(TrainConfig, ["guide"], base, key=key, columns=1)
    if rule in ("phi", "released"):
        unit = settings_form(TrainConfig, ["threshold_unit"], base, key=key, columns=1)["threshold_unit"]
    meaning = threshold_meaning(rule, unit)
    if meaning != threshold_meaning(base["mask_rule"], base["threshold_unit"]):
        base = base | {"mask_threshold": USUAL_THRESHOLDS[meaning]}
    declared = {"mask_threshold": MASK_THRESHOLDS[meaning]}
    values |= settings_form(
        TrainConfig, ["mask_threshold"], base, key=f"{key}_{meaning}", columns=1, declared=declared
    )
    return values | {"threshold_unit": unit}
