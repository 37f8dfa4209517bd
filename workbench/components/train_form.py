"""The settings of a training run, what they will lead to, and its start."""

from dataclasses import asdict
from typing import Any

import pandas as pd
import streamlit as st

from pipeline.config import TRAIN_PRESETS, TrainConfig
from pipeline.names import BUILT_IN_ENCODERS
from workbench import state
from workbench.actions.training import start_train
from workbench.components.notice import errors_shown
from workbench.components.wording import count, duration
from workbench.jobs.views import JobView
from workbench.workspace import Workspace

_PRESET_WORDS = {
    "no mask": "Every other candidate of the batch is a negative.",
    "guide mask": "Candidates whose guide cosine with the premise exceeds φ are left out as false negatives.",
    "GIST": "Candidates closer to the premise than its own positive, by the guide, are left out.",
    "released code": "The stable form of the published code: masked candidates keep a logit of zero.",
}


def train_form(workspace: Workspace) -> None:
    """Draw the form; a start selects the new run and reruns the page."""
    snapshots = {snapshot.snapshot_id: snapshot for snapshot in workspace.store.snapshots.list()}
    names = {key: f"{snapshot.name} ({count(snapshot.rows)} triplets)" for key, snapshot in snapshots.items()}
    snapshot_id = state.pick("Snapshot", list(names), name=state.SNAPSHOT, names=names)
    if snapshot_id is None:
        return
    config = _settings()
    sts_dir = state.folder_input("STS folder (optional)", name=state.STS_FOLDER, help=_STS_HELP)
    rows = snapshots[snapshot_id].rows
    what_will_happen(rows, config, workspace.jobs.list())
    if st.button("Train", type="primary", icon=":material/play_arrow:", width="stretch"):
        with errors_shown():
            made = start_train(workspace, snapshot_id=snapshot_id, config=config, sts_dir=sts_dir or None)
            state.select(state.RUN, made["run_id"])
            st.rerun()


_STS_HELP = (
    "Folder with STS tasks (files such as STSB-test.tsv, or SentEval's layout). With it the encoder is scored right "
    "after training; STSB-dev, if there, is also scored while training."
)


def _settings() -> dict[str, Any]:
    encoder = st.selectbox(
        "Encoder",
        BUILT_IN_ENCODERS,
        index=BUILT_IN_ENCODERS.index("static-minilm"),
        accept_new_options=True,
        key="train_encoder",
        help="The static encoder trains in seconds on a CPU. Or type the folder of a local model.",
    )
    preset = st.segmented_control(
        "False negatives", list(TRAIN_PRESETS), default="guide mask", required=True, key="train_preset"
    )
    base = TRAIN_PRESETS[preset]
    st.caption(_PRESET_WORDS[preset])
    left, right = st.columns(2)
    steps = left.number_input("Steps", 1, 1_000_000, base.steps, key="train_steps")
    batch = right.number_input("Triplets per step", 1, 4096, base.batch_size, key="train_batch")
    fields = asdict(base) | {"encoder": encoder or base.encoder, "steps": int(steps), "batch_size": int(batch)}
    if base.mask_rule != "none":
        fields["mask_threshold"] = st.slider(
            "φ  guide cosine above which a candidate is masked" if base.mask_rule == "phi" else "Mask threshold",
            0.0,
            1.0,
            base.mask_threshold,
            0.01,
            key=f"train_phi_{preset}",
        )
    return fields | _more(base)


def _more(base: TrainConfig) -> dict[str, Any]:
    with st.expander("More settings"):
        own_rate = st.toggle("Set the learning rate", key="train_own_rate", help="Off: the encoder's own default.")
        rate = st.number_input(
            "Learning rate", 1e-7, 1.0, 2e-5, format="%.1e", key="train_rate", disabled=not own_rate
        )
        temperature = st.number_input("Temperature τ", 0.001, 1.0, base.temperature, 0.01, key="train_temperature")
        warmup = st.number_input("Warm-up steps", 0, 100_000, base.warmup_steps, key="train_warmup")
        eval_every = st.number_input(
            "Steps between dev scores", 0, 100_000, 25, key="train_eval_every", help="0 scores only at the end."
        )
        seed = st.number_input("Seed", 0, 2**31 - 1, base.seed, key="train_seed")
        protect = st.toggle("Never mask a premise's own hard negative", key="train_protect")
    return {
        "learning_rate": float(rate) if own_rate else None,
        "temperature": float(temperature),
        "warmup_steps": int(warmup),
        "eval_every": int(eval_every),
        "seed": int(seed),
        "protect_own_hard_negative": protect,
    }


def what_will_happen(rows: int, config: dict[str, Any], jobs: list[JobView]) -> None:
    """Say in numbers what a start does."""
    batch = min(config["batch_size"], rows)
    per_epoch = max(1, rows // batch)
    negatives = 2 * batch - 1
    facts = {
        "Triplets": count(rows),
        "Steps": f"{count(config['steps'])}, {config['steps'] / per_epoch:.1f} passes over the data",
        "Negatives": f"up to {count(negatives)} per premise, {count(batch)} of them hard negatives",
        "Time": _time(config["steps"], jobs),
    }
    with st.container(border=True):
        st.markdown("**What will happen**")
        st.table(pd.Series(facts, name=""), border="horizontal", hide_header=True)


def _time(steps: int, jobs: list[JobView]) -> str:
    rate = next((job.rate for job in jobs if job.kind == "train" and job.rate), None)
    return (
        f"about {duration(steps / rate)} at {rate:.1f} steps per second, as last measured"
        if rate
        else "not measured yet"
    )
