"""Errors: where an encoder and people disagree, and what to do about it."""

import streamlit as st

from workbench import shell, state
from workbench.components.elements import EVALUATE, empty_state
from workbench.components.encoder_comparison import encoder_names, scored_name
from workbench.components.errors.behaviour_view import behaviour_view
from workbench.components.errors.error_view import change_view, pairs_view
from workbench.components.errors.margin_view import margin_view
from workbench.components.evaluate.leaderboard_view import matrix_table

workspace = shell.begin("Errors")
scores = workspace.store.scores.matrix()
views = ["Pairs and slices", "Hard negatives", "Two encoders", "Behavioural tests"]
view = state.tabs(views, name=state.ERRORS_VIEW)
if view in ("Hard negatives", "Behavioural tests"):
    (margin_view if view == "Hard negatives" else behaviour_view)(workspace)
    st.stop()
if scores.empty:
    empty_state(
        "No scores yet",
        hint="Errors come from an evaluation, which compares people's scores with the encoder's.",
        icon=":material/troubleshoot:",
        page=EVALUATE,
        action="Evaluate an encoder",
    )
    st.stop()

names = encoder_names(workspace)
ids = [str(key) for key in matrix_table(scores).index]
titles = {key: scored_name(key, names) for key in ids}
encoder, task = st.columns(2)
with encoder:
    encoder_id = state.pick("Encoder", ids, name=state.ENCODER, names=titles)
with task:
    tasks = list(scores[scores["encoder_id"] == encoder_id]["task"])
    task_name = state.pick("Task", tasks, name=state.TASK)
if view == views[0]:
    pairs_view(workspace, scores, str(encoder_id), str(task_name), titles[str(encoder_id)])
else:
    change_view(workspace, scores, str(encoder_id), str(task_name), titles)
