"""Errors: where gold and model disagree."""

import streamlit as st

from workbench import shell, state
from workbench.components import links
from workbench.components.encoder_names import encoder_names, scored_name
from workbench.components.notice import empty_state
from workbench.components.predictions import load_pairs
from workbench.components.residuals import residual_view

workspace = shell.begin("Errors")
scores = workspace.store.scores.matrix()
if scores.empty:
    empty_state(
        "No scores yet",
        hint="Errors are read from an evaluation: people's scores beside the encoder's.",
        icon=":material/troubleshoot:",
        page=links.EVALUATE,
        action="Evaluate an encoder",
    )
    st.stop()

names = encoder_names(workspace)
encoder, task = st.columns(2)
with encoder:
    ids = list(dict.fromkeys(scores["encoder_id"]))
    encoder_id = state.pick("Encoder", ids, name=state.ENCODER, names={key: scored_name(key, names) for key in ids})
of_encoder = scores[scores["encoder_id"] == encoder_id].set_index("task")
with task:
    task_name = state.pick("Task", list(of_encoder.index), name=state.TASK)
pairs = load_pairs(workspace, of_encoder.loc[task_name, "job_id"], str(task_name))
if pairs is None:
    st.warning("The predictions behind this score are no longer in the workspace: evaluate again to see them.")
else:
    residual_view(pairs)
