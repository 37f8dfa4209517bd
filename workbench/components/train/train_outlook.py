"""The form of a run, and what starting it means in numbers: triplets, steps, negatives; and the same command."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from pipeline.config import from_fields
from pipeline.records import InputError
from pipeline.train_config import TrainConfig
from workbench import state
from workbench.actions.training import start_train
from workbench.components.elements import count, errors_shown
from workbench.components.train import train_settings
from workbench.workspace import Workspace

_ENOUGH_TO_HOLD_OUT = 50
_STS_HELP = (
    "Folder with STS tasks (files such as STSB-test.tsv, or SentEval's layout). The encoder is scored on them after "
    "training, and on STSB-dev, if it is there, during training."
)
_HOLD_OUT_HELP = (
    "A fifth of the premises, chosen by their text, is kept out of training. Without STSB-dev, the dev score is the "
    "share of their triplets whose positive is nearer than the hard negative."
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A run as set in the form."""

    snapshot_id: str
    snapshot: str
    rows: int
    config: dict[str, Any]
    sts_dir: str
    hold_out: bool


def train_form(workspace: Workspace) -> Wanted | None:
    """Draw the form; a start opens the new run."""
    snapshots = {snapshot.snapshot_id: snapshot for snapshot in workspace.store.snapshots.list()}
    names = {key: f"{snapshot.name} ({count(snapshot.rows)} triplets)" for key, snapshot in snapshots.items()}
    snapshot_id = state.pick("Snapshot", list(names), name=state.SNAPSHOT, names=names)
    if snapshot_id is None:
        return None
    train_settings.paste_settings()
    config = train_settings.train_settings()
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
    problem = ""
    try:
        from_fields(TrainConfig, config)
    except InputError as error:
        problem = str(error)
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


def train_outlook(wanted: Wanted) -> None:
    """Draw the table of what starting the run means, and the command and settings to copy."""
    with st.container(border=True):
        st.subheader("What will happen", anchor=False)
        st.table(pd.Series(outlook(wanted), name=""), border="horizontal", hide_header=True)
        with st.expander("The same without a browser", icon=":material/terminal:"):
            command = train_settings.train_command(
                wanted.config, snapshot=wanted.snapshot, sts_dir=wanted.sts_dir, hold_out=wanted.hold_out
            )
            st.code(command, language="bash", wrap_lines=True)
            st.caption("All settings, as saved with the trained encoder:")
            st.code(train_settings.settings_file(wanted.config), language="json")


def outlook(wanted: Wanted) -> dict[str, str]:
    """Return a line each on triplets, steps, negatives and dev score."""
    config = wanted.config
    rows = max(1, round(wanted.rows * 0.8)) if wanted.hold_out else wanted.rows
    batch = min(config["batch_size"], rows)
    triplets = f"about {count(rows)}, {count(wanted.rows - rows)} held out" if wanted.hold_out else count(rows)
    return {
        "Triplets": triplets,
        "Steps": f"{count(config['steps'])} of {count(batch)} triplets, "
        f"{config['steps'] * batch / rows:.1f} passes over the data",
        "Negatives": _negatives(config, batch),
        "Dev score": _dev(wanted),
    }


def _negatives(config: dict[str, Any], batch: int) -> str:
    if config.get("positives", "written") != "written":
        return f"{count(batch - 1)} per premise: the other premises of the batch"
    up_to = "" if config["mask_rule"] == "none" else "up to "
    return f"{up_to}{count(2 * batch - 1)} per premise, {count(batch)} of them hard negatives"


def _dev(wanted: Wanted) -> str:
    every = wanted.config["eval_every"]
    when = f"every {count(every)} steps and at the end" if every else "at the end"
    if wanted.sts_dir:
        return f"STSB-dev if the folder has it{', else held-out triplets' if wanted.hold_out else ''}, {when}"
    return f"held-out triplets, {when}" if wanted.hold_out else "none: name an STS folder, or hold premises out"
