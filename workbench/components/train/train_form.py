"""The settings of a training run: a preset, the few fields that matter, the rest in an expander, and the start."""

from dataclasses import asdict, dataclass, fields
from typing import Any

import streamlit as st

from pipeline.config import TRAIN_PRESETS, TrainConfig, from_fields
from pipeline.errors import InputError
from pipeline.names import BUILT_IN_ENCODERS
from workbench import state
from workbench.actions.training import start_train
from workbench.components.notice import errors_shown
from workbench.components.train.config_fields import config_fields
from workbench.components.wording import count
from workbench.gpus import devices
from workbench.workspace import Workspace

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
_ENOUGH_TO_HOLD_OUT = 50
_DEV_EVERY = 25
_BASE, _VERSION = "train_base", "train_version"
_STS_HELP = (
    "Folder with STS tasks (files such as STSB-test.tsv, or SentEval's layout). With it the encoder is scored right "
    "after training; STSB-dev, if there, is also scored while training."
)
_GUIDE_HELP = "The frozen encoder that judges which candidates are false negatives; φ belongs to it."
_HOLD_OUT_HELP = (
    "A fifth of the premises, chosen by their text, takes no part in training; the share of their triplets in the "
    "right order is the dev score where no STSB-dev is at hand."
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A run as the form has it."""

    snapshot_id: str
    snapshot: str
    rows: int
    config: dict[str, Any]
    sts_dir: str
    hold_out: bool


def start_from(config: dict[str, Any]) -> None:
    """Let the form open with the settings of an earlier run; call before the form is drawn."""
    known = {field.name for field in fields(TrainConfig)}
    st.session_state[_BASE] = {name: value for name, value in config.items() if name in known}
    st.session_state[_VERSION] = st.session_state.get(_VERSION, 0) + 1


def train_form(workspace: Workspace) -> Wanted | None:
    """Draw the form; a start opens the new run and reruns the page."""
    snapshots = {snapshot.snapshot_id: snapshot for snapshot in workspace.store.snapshots.list()}
    names = {key: f"{snapshot.name} ({count(snapshot.rows)} triplets)" for key, snapshot in snapshots.items()}
    snapshot_id = state.pick("Snapshot", list(names), name=state.SNAPSHOT, names=names)
    if snapshot_id is None:
        return None
    config = _settings()
    sts_dir = state.folder_input("STS folder (optional)", name=state.STS_FOLDER, help=_STS_HELP)
    snapshot = snapshots[snapshot_id]
    hold_out = st.toggle(
        "Hold out a fifth of the premises",
        not sts_dir and snapshot.rows >= _ENOUGH_TO_HOLD_OUT,
        key=f"train_hold_out_{bool(sts_dir)}",
        persist_state="session",
        help=_HOLD_OUT_HELP,
    )
    wanted = Wanted(snapshot_id, snapshot.name, snapshot.rows, config, sts_dir, hold_out)
    problem = _problem(config)
    if problem:
        st.error(problem, icon=":material/error:")
    if st.button("Train", type="primary", icon=":material/play_arrow:", width="stretch", disabled=bool(problem)):
        with errors_shown():
            made = start_train(
                workspace,
                snapshot_id=snapshot_id,
                config=config,
                sts_dir=sts_dir or None,
                held_out=snapshot_id if hold_out else None,
            )
            state.select(state.RUN, made["run_id"])
            state.select(state.TRAIN_VIEW, "Runs")
            st.rerun()
    return wanted


def _problem(config: dict[str, Any]) -> str:
    try:
        from_fields(TrainConfig, config)
    except InputError as error:
        return str(error)
    return ""


def _settings() -> dict[str, Any]:
    version = st.session_state.get(_VERSION, 0)
    start: dict[str, Any] = asdict(TrainConfig()) | {"eval_every": _DEV_EVERY} | st.session_state.get(_BASE, {})
    options = [*([_RUN_AGAIN] if version else []), *TRAIN_PRESETS]
    preset = st.pills(
        "Preset",
        options,
        default=_RUN_AGAIN if version else "guide mask",
        required=True,
        key=f"train_preset_{version}",
        wrap=True,
        persist_state="session",
    )
    base = start if preset == _RUN_AGAIN else start | _of_preset(str(preset))
    st.caption(_PRESET_WORDS.get(str(preset), "The settings of the run you started from."))
    return base | _main_fields(base, f"train_{version}_{preset}", f"train_{version}")


_RUN_AGAIN = "as that run"


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
    values["encoder"] = _encoder(
        "Encoder",
        base["encoder"],
        key=f"{of_preset}_encoder",
        help="The static encoder trains in seconds on a CPU. Or type the folder of a local model.",
    )
    left, right = st.columns(2)
    values["steps"] = int(
        left.number_input("Steps", 1, 1_000_000, base["steps"], key=f"{key}_steps", persist_state="session")
    )
    values["batch_size"] = int(
        right.number_input(
            "Triplets per step", 1, 8192, base["batch_size"], key=f"{key}_batch", persist_state="session"
        )
    )
    values["learning_rate"] = left.number_input(
        "Learning rate",
        1e-7,
        1.0,
        base["learning_rate"],
        format="%g",
        key=f"{key}_rate",
        persist_state="session",
        placeholder="default",
        help="Peak rate; empty takes the encoder's own default.",
    )
    values["temperature"] = float(
        right.number_input(
            "Temperature τ", 0.001, 1.0, base["temperature"], 0.01, key=f"{key}_temperature", persist_state="session"
        )
    )
    if base["mask_rule"] != "none":
        values |= _mask_fields(base, of_preset)
    values["eval_every"] = int(
        left.number_input(
            "Steps between dev scores",
            0,
            100_000,
            base["eval_every"],
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


def _encoder(label: str, value: str, *, key: str, help: str) -> str:
    built_in = list(BUILT_IN_ENCODERS)
    options = built_in if value in built_in else [value, *built_in]
    chosen = st.selectbox(
        label,
        options,
        index=options.index(value),
        accept_new_options=True,
        key=key,
        help=help,
        persist_state="session",
    )
    return chosen or value


def _mask_fields(base: dict[str, Any], key: str) -> dict[str, Any]:
    guide = _encoder("Guide", base["guide"], key=f"{key}_guide", help=_GUIDE_HELP)
    values: dict[str, Any] = {"guide": guide}
    if base["mask_rule"].startswith("gist"):
        values["mask_threshold"] = st.slider(
            "Margin", -0.5, 1.0, float(base["mask_threshold"]), 0.01, key=f"{key}_margin", persist_state="session"
        )
        return values
    as_share = False
    if "threshold_unit" in base:
        unit = st.segmented_control(
            "φ as",
            ["cosine", "random_pairs"],
            default=base["threshold_unit"],
            required=True,
            format_func={"cosine": "a cosine", "random_pairs": "a share of random pairs"}.__getitem__,
            key=f"{key}_unit",
            persist_state="session",
            help="The same cosine means another thing for another guide; a share of random pairs carries over.",
        )
        values["threshold_unit"], as_share = unit, unit == "random_pairs"
    if as_share:
        start = base["mask_threshold"] * 1000 if base["threshold_unit"] == "random_pairs" else 1.0
        per_thousand = st.number_input(
            "Random pairs above φ, per thousand",
            0.001,
            999.0,
            float(start),
            format="%g",
            key=f"{key}_share",
            persist_state="session",
        )
        values["mask_threshold"] = float(per_thousand) / 1000
    else:
        start = base["mask_threshold"] if base.get("threshold_unit", "cosine") == "cosine" else 0.8
        values["mask_threshold"] = st.slider(
            "φ  guide cosine above which a candidate is masked",
            0.0,
            1.0,
            float(start),
            0.01,
            key=f"{key}_phi",
            persist_state="session",
        )
    return values
