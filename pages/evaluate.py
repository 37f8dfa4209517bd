"""Evaluate: encoders on STS, transfer and retrieval tasks."""

import streamlit as st

from workbench import shell, state
from workbench.components.elements import ERRORS, empty_state, plain
from workbench.components.encoder_comparison import encoder_comparison, encoder_names, gold_scatter, scored_name
from workbench.components.evaluate.arms_view import arms_of, arms_view
from workbench.components.evaluate.evaluate_form import RETRIEVAL, TRANSFER, evaluate_form, folder_tasks_view
from workbench.components.evaluate.leaderboard_view import (
    arms_of_studies,
    leaderboard_view,
    matrix_table,
    score_matrix,
    space_view,
    tasks_of_the_mean,
)

workspace = shell.begin("Evaluate")
evaluate_form(workspace)
scores = workspace.store.scores.matrix()
names = encoder_names(workspace)
views = ["Scores", "Leaderboard", "Two encoders", "Space", "Transfer", "Retrieval"]
view = state.tabs(views, name=state.EVALUATE_VIEW)
if view in ("Transfer", "Retrieval"):
    folder_tasks_view(workspace, names, TRANSFER if view == "Transfer" else RETRIEVAL)
elif scores.empty and not (view == "Leaderboard" and arms_of_studies(workspace)):
    empty_state(
        "No scores yet",
        hint="Enter a folder with STS tasks above and evaluate an encoder, for instance a built-in one.",
        icon=":material/leaderboard:",
    )
elif view == "Leaderboard":
    leaderboard_view(workspace, scores, names, set() if scores.empty else arms_view(workspace, scores, names))
elif view == "Two encoders":
    encoder_comparison(workspace, scores, names, arms_of(workspace, list(matrix_table(scores).index), names))
elif view == "Space":
    space_view(workspace, names)
else:
    arms_view(workspace, scores, names)
    clicked, tasks = score_matrix(scores, names), tasks_of_the_mean(scores)
    st.caption(
        "Spearman x 100 per task; a dash is a task without a score. Select a cell to see its pairs. Means are over "
        f"{', '.join(map(plain, tasks))}, for encoders that have them all."
    )
    if clicked:
        state.remember(state.ENCODER, clicked[0])
        state.remember(state.TASK, clicked[1])
    encoder_id, task = state.recall(state.ENCODER), state.recall(state.TASK)
    known = scores[(scores["encoder_id"] == encoder_id) & (scores["task"] == task)]
    if not known.empty:
        gold_scatter(workspace, scores, str(encoder_id), str(task), scored_name(str(encoder_id), names))
        st.page_link(ERRORS, label="See its worst pairs", icon=":material/troubleshoot:")
