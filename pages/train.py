"""Train: start runs, watch and compare them, run studies."""

import streamlit as st

from workbench import shell, state
from workbench.components.elements import CURATE, empty_state
from workbench.components.train.logbook import LOGBOOK, logbook
from workbench.components.train.run_list import all_runs, no_run_yet, run_queue, run_view, runs_overview
from workbench.components.train.study_view import study_choice, study_view
from workbench.components.train.train_outlook import phi_preview, train_form, train_outlook

workspace = shell.begin("Train")
view = state.tabs(["New run", "Runs", "Compare", "Studies", LOGBOOK], name=state.TRAIN_VIEW)
if view == "New run":
    if not workspace.store.snapshots.list():
        empty_state(
            "No snapshot to train on",
            hint="Training reads a frozen set of triplets, which makes runs repeatable.",
            icon=":material/model_training:",
            page=CURATE,
            action="Curate and freeze triplets",
        )
        st.stop()
    with st.container(key="train_beside"):
        settings, outlook = st.columns([2, 3], gap="large")
    with settings:
        wanted = train_form(workspace)
    with outlook:
        if wanted:
            train_outlook(workspace, wanted)
            phi_preview(workspace, wanted)
elif view in ("Runs", "Compare"):
    runs = all_runs(workspace)
    if runs.empty:
        no_run_yet()
        st.stop()
    if view == "Compare":
        runs_overview(workspace)
        st.stop()
    run_queue(workspace)
    names = dict(zip(runs["run_id"], runs["title"], strict=True))
    run_id = state.pick("Run", list(names), name=state.RUN, names=names)
    if run_id:
        run_view(workspace, run_id)
elif view == LOGBOOK:
    logbook(workspace)
else:
    chosen = study_choice(workspace)
    if chosen and chosen.study:
        study_view(workspace, chosen.study.name)
