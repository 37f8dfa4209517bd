"""The settings of a run: a preset, the few fields that matter, the rest in an expander."""

from dataclasses import asdict, fields
from typing import Any

import streamlit as st

from pipeline.config import TRAIN_PRESETS, TrainConfig
from workbench.components.train.config_fields import config_fields
from workbench.components.train.mask_fields import encoder_choice, mask_fields
from workbench.gpus import devices

_PRESET_WORDS = {
    "no mask": "Every other candidate of the batch is a negative.",
    "guide mask": "Candidates whose guide cosine with the premise exceeds φ are left out as false negatives.",
    "GIST": "Candidates closer to the premise than its own positive, by the guide, are left out.",
    "released code": "The stable form of the published code: masked candidates keep a logit of zero.",
    "unsupervised SimCSE": "Reads the premises only: the positive is the premise again under other dropout.",
}
_MAIN = frozenset(
    {"encoder", "steps", "batch_size", "learning_rate", "temperature", "seed", "device", "eval_every"}
    | {"mask_rule", "mask_threshold", "threshold_unit", "guide"}
)
_DEV_EVERY = 25
_LEAST = 1e-9
"""Stands for "above zero" in a field."""
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
    values: dict[str, Any] = {}
    values["encoder"] = encoder_choice(
        "Encoder",
        base["encoder"],
        key=f"{of_preset}_encoder",
        help="The static encoder trains in seconds on a CPU. Or type the folder of a local model.",
    )
    left, right = st.columns(2)
    values["steps"] = int(
        left.number_input("Steps", 1, value=base["steps"], key=f"{key}_steps", persist_state="session")
    )
    values["batch_size"] = int(
        right.number_input(
            "Triplets per step", 1, value=base["batch_size"], key=f"{key}_batch", persist_state="session"
        )
    )
    values["learning_rate"] = left.number_input(
        "Learning rate",
        _LEAST,
        value=base["learning_rate"],
        format="%g",
        key=f"{key}_rate",
        persist_state="session",
        placeholder="default",
        help="Peak rate; empty takes the encoder's own default.",
    )
    values["temperature"] = float(
        right.number_input(
            "Temperature τ",
            _LEAST,
            value=float(base["temperature"]),
            step=0.01,
            key=f"{key}_temperature",
            persist_state="session",
        )
    )
    if base["mask_rule"] != "none":
        values |= mask_fields(base, of_preset)
    values["eval_every"] = int(
        left.number_input(
            "Steps between dev scores",
            0,
            value=base["eval_every"],
            key=f"{key}_eval_every",
            persist_state="session",
            help="0 scores only at the end.",
        )
    )
    values["seed"] = int(
        right.number_input("Seed", 0, 2**31 - 1, base["seed"], key=f"{key}_seed", persist_state="session")
    )
    offered = devices()
    if base["device"] not in offered:
        st.caption(f"The device {base['device']} of that run is not on this machine; auto is taken.")
    device = base["device"] if base["device"] in offered else "auto"
    values["device"] = st.selectbox(
        "Device",
        list(offered),
        index=list(offered).index(device),
        format_func=offered.__getitem__,
        key=f"{key}_device",
        persist_state="session",
    )
    with st.expander("More settings"):
        rest = [field.name for field in fields(TrainConfig) if field.name not in _MAIN]
        values |= config_fields(TrainConfig, rest, base, key=of_preset)
    return values
