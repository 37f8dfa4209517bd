"""The settings of a generation run, an honest estimate of its time, and its start."""

from typing import Any

import streamlit as st

from pipeline.config import GenerationConfig
from workbench import state
from workbench.actions.generation import start_generate
from workbench.components.llm_choice import budget_settings, candidate_settings, llm_choice
from workbench.components.notice import errors_shown
from workbench.components.wording import count, counted, duration
from workbench.jobs.views import JobView
from workbench.workspace import Workspace

_DEFAULT = GenerationConfig()
_ROWS = 100


def generation_form(workspace: Workspace) -> None:
    """Draw the form; a start selects the new attempt and reruns the page."""
    corpora = {corpus.corpus_id: corpus for corpus in workspace.store.premises.corpora()}
    corpus_id = state.pick(
        "Premises",
        list(corpora),
        name=state.CORPUS,
        names={key: f"{corpus.name} ({count(corpus.premises)})" for key, corpus in corpora.items()},
    )
    if corpus_id is None:
        return
    corpus = corpora[corpus_id]
    limit = st.number_input(
        "Number of premises", 1, corpus.premises, min(_ROWS, corpus.premises), key=f"generate_limit_{corpus_id}"
    )
    config = _settings(workspace)
    st.caption(estimate(workspace.jobs.list(), limit))
    if st.button(
        f"Generate {counted(limit, 'triplet')}", type="primary", icon=":material/play_arrow:", width="stretch"
    ):
        with errors_shown():
            made = start_generate(workspace, corpus_id=corpus_id, config=config, limit=int(limit))
            state.select(state.ATTEMPT, made["attempt_id"])
            st.rerun()


def _settings(workspace: Workspace) -> dict[str, Any]:
    llm, chosen = llm_choice(workspace)
    omega = st.slider(
        "Contrast ω",
        0.0,
        0.95,
        _DEFAULT.omega,
        0.05,
        key="generate_omega",
        help="Weight of the opposite instruction in z = l - ω l^. 0 is plain generation; higher pushes the sentence "
        "further away from what the opposite instruction would write.",
    )
    plausibility = st.slider(
        "Plausibility cut",
        0.0,
        0.5,
        _DEFAULT.plausibility,
        0.05,
        key="generate_plausibility",
        help="Tokens less likely than this share of the best own token are never chosen. 0 switches the cut off.",
    )
    temperature = st.slider(
        "Temperature", 0.0, 1.5, _DEFAULT.temperature, 0.1, key="generate_temperature", help="0 takes the best token."
    )
    with st.expander("More settings"):
        top_p = st.slider("Nucleus mass (top p)", 0.05, 1.0, _DEFAULT.top_p, 0.05, key="generate_top_p")
        seed = st.number_input("Seed", 0, 2**31 - 1, _DEFAULT.seed, key="generate_seed")
        tokens = st.number_input("Longest reply (tokens)", 8, 256, _DEFAULT.max_new_tokens, key="generate_tokens")
        batch = st.number_input("Replies side by side", 1, 256, _DEFAULT.batch_size, key="generate_batch")
        drawn = candidate_settings(chosen, temperature=temperature) | budget_settings(chosen)
    return {
        "llm": llm,
        "omega": omega,
        "plausibility": plausibility,
        "temperature": temperature,
        "top_p": top_p,
        "seed": int(seed),
        "max_new_tokens": int(tokens),
        "batch_size": int(batch),
        **drawn,
    }


def estimate(jobs: list[JobView], limit: int) -> str:
    """Time from the rate last measured here; without one, say so rather than guess."""
    rate = next((job.rate for job in jobs if job.kind == "generate" and job.rate), None)
    if not rate:
        return "Time left is shown once the first rows are done; nothing has been measured on this machine yet."
    return f"About {duration(limit / rate)} at the {rate:.1f} premises per second measured last."
