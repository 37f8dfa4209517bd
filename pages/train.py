"""Train: configure and watch a run."""

import streamlit as st

from workbench import shell, state
from workbench.components import links
from workbench.components.notice import empty_state
from workbench.components.run_view import run_table, run_view
from workbench.components.train_form import train_form

workspace = shell.begin("Train")
runs = workspace.store.runs.list()
if not workspace.store.snapshots.list() and runs.empty:
    empty_state(
        "No snapshot to train on",
        hint="Training reads a frozen set of triplets, so that a run can be repeated exactly.",
        icon=":material/model_training:",
        page=links.CURATE,
        action="Curate and freeze triplets",
    )
    st.stop()

settings, result = st.columns([2, 3], gap="large")
with settings:
    train_form(workspace)
with result:
    names = dict(zip(runs["run_id"], runs["title"], strict=True))
    run_id = state.pick("Run", list(names), name=state.RUN, names=names)
    if run_id is None:
        empty_state(
            "No run yet",
            hint="The static encoder trains in under a minute on a CPU.",
            icon=":material/model_training:",
        )
    else:
        run_view(workspace, run_id)
if not runs.empty:
    run_table(runs)
