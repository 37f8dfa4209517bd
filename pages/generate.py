"""Generate: premises to candidate triplets."""

import streamlit as st

from workbench import shell, state
from workbench.components.attempt_table import attempt_names, attempt_table
from workbench.components.attempt_view import attempt_view
from workbench.components.generation_form import generation_form
from workbench.components.llm_registry import llm_registry
from workbench.components.notice import empty_state
from workbench.components.premises_import import welcome

workspace = shell.begin("Generate")
if not workspace.store.premises.corpora():
    welcome(workspace)
    st.stop()

attempts = workspace.store.triplets.attempts()
settings, result = st.columns([1, 2], gap="large")
with settings:
    generation_form(workspace)
with result:
    names = attempt_names(workspace, attempts)
    attempt_id = state.pick("Attempt", list(names), name=state.ATTEMPT, names=names)
    if attempt_id is None:
        empty_state(
            "No triplets yet",
            hint="Start with the settings on the left; 100 premises are enough for a first look.",
            icon=":material/edit_note:",
        )
    else:
        attempt_view(workspace, attempt_id)
attempt_table(workspace, attempts)
llm_registry(workspace)
