"""Generate: premises to candidate triplets."""

import streamlit as st

from workbench import shell, state
from workbench.components.generate.contrast_view import CONTRAST, contrast_view
from workbench.components.generate.form import RUN, generation_form
from workbench.components.generate.generation_runs import ALL_RUNS, run_view, runs_table
from workbench.components.generate.llm_card import LLMS
from workbench.components.generate.llm_registry import llm_registry
from workbench.components.generate.preview import free_prompt
from workbench.components.generate.prompt_editor import prompt_editor
from workbench.components.generate.scratch_view import PREMISES, scratch_view
from workbench.components.imports import welcome

workspace = shell.begin("Generate")
has_premises = any(corpus.premises for corpus in workspace.store.premises.corpora())
without = [PREMISES, LLMS]
if not has_premises and state.recall(state.GENERATE_VIEW) not in without:
    welcome(workspace)
    st.stop()

runs = workspace.store.triplets.attempts()
views = [PREMISES, CONTRAST, "Prompts", "Free prompt", RUN, ALL_RUNS, LLMS]
view = state.tabs(views if has_premises else without, name=state.GENERATE_VIEW, first=RUN if has_premises else "")
if view == PREMISES:
    scratch_view(workspace)
elif view == ALL_RUNS:
    runs_table(runs)
elif view == LLMS:
    llm_registry(workspace)
else:
    # With room for one column only, what a view shows comes before its settings; a run begins with them.
    with st.container(key="generate_beside" if view == RUN else "shown_first_beside"):
        settings, result = st.columns([1, 2], gap="large")
    with settings:
        choice = generation_form(workspace, starts=view == RUN)
    with result:
        if view == CONTRAST:
            contrast_view(workspace, choice)
        elif view == "Prompts":
            prompt_editor(workspace, choice)
        elif view == "Free prompt":
            free_prompt(workspace, choice)
        else:
            run_view(workspace, runs, choice)
