"""A training run before it starts: data, settings, what it is scored on, and the start."""

from dataclasses import dataclass
from typing import Any

import streamlit as st

from pipeline.config import TrainConfig, from_fields
from pipeline.errors import InputError
from workbench import state
from workbench.actions.training import start_train
from workbench.components.notice import errors_shown
from workbench.components.train.paste_settings import paste_settings
from workbench.components.train.train_settings import train_settings
from workbench.components.wording import count
from workbench.workspace import Workspace

_ENOUGH_TO_HOLD_OUT = 50
_STS_HELP = (
    "Folder with STS tasks (files such as STSB-test.tsv, or SentEval's layout). With it the encoder is scored right "
    "after training; STSB-dev, if there, is also scored while training."
)
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


def train_form(workspace: Workspace) -> Wanted | None:
    """Draw the form; a start opens the new run and reruns the page."""
    snapshots = {snapshot.snapshot_id: snapshot for snapshot in workspace.store.snapshots.list()}
    names = {key: f"{snapshot.name} ({count(snapshot.rows)} triplets)" for key, snapshot in snapshots.items()}
    snapshot_id = state.pick("Snapshot", list(names), name=state.SNAPSHOT, names=names)
    if snapshot_id is None:
        return None
    paste_settings()
    config = train_settings()
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
