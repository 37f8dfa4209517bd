"""Premises from scratch: the form, and a corpus as it grows: progress, coverage cell by cell, its attempts."""

import streamlit as st

from pipeline.config import ScratchConfig
from pipeline.generation.premise_filing import cells
from workbench import state
from workbench.components.generate.coverage_table import coverage_table, wanted_each
from workbench.components.generate.scratch_form import scratch_form
from workbench.components.generate.scratch_outcomes import scratch_outcomes
from workbench.components.job_progress import is_live, job_card, while_live
from workbench.components.notice import empty_state
from workbench.components.text import plain
from workbench.components.wording import count, counted, percent
from workbench.jobs.kinds import WritePremisesSpec
from workbench.jobs.views import JobView
from workbench.workspace import Workspace


def scratch_view(workspace: Workspace) -> None:
    """Draw the form on the left and the chosen corpus on the right."""
    settings, result = st.columns([1, 3], gap="medium")
    with settings:
        scratch_form(workspace)
    with result:
        jobs = {job.job_id: job for job in workspace.jobs.of(WritePremisesSpec)}
        chosen = state.pick(
            "Corpus written from scratch",
            list(jobs),
            name=state.SCRATCH,
            names={job_id: f"{job.spec.corpus} ({counted(job.done, 'premise')})" for job_id, job in jobs.items()},
        )
        if chosen is None:
            empty_state(
                "No premises from scratch yet",
                hint="An LLM fills the cells of topic, genre and length. A handful of topics makes a first look.",
                icon=":material/grid_on:",
            )
            return
        _corpus(workspace, jobs[chosen])


def _corpus(workspace: Workspace, job: JobView[WritePremisesSpec]) -> None:
    config = job.spec.config

    def draw() -> bool:
        now = workspace.jobs.get(job.job_id)
        live = is_live(now)
        if now.state != "finished":
            job_card(workspace, now, key="scratch")
        _figures(now, config)
        _facts(now)
        st.markdown("**Premises by topic and genre, had / wanted**")
        st.caption(
            f"{count(wanted_each(config))} wanted of each: {count(config.per_cell)} per length. "
            "Click a cell to read its sentences."
        )
        counts = workspace.store.premise_attempts.coverage(job.job_id)
        clicked = coverage_table(counts, config, is_live=live, key=f"coverage_{job.job_id}")
        scratch_outcomes(workspace, job.job_id, config, clicked)
        return live

    while_live(draw, live=is_live(job))
    _next(job)


def _figures(job: JobView, config: ScratchConfig) -> None:
    outcomes: dict[str, int] = job.details.get("outcomes", {})
    attempts = sum(outcomes.values())
    figures = (
        ("Premises", f"{count(job.done)} / {count(len(cells(config)) * config.per_cell)}"),
        ("Full cells", f"{count(job.details.get('full_cells', 0))} / {count(len(cells(config)))}"),
        ("Attempts", count(attempts)),
        ("Kept of them", percent(outcomes.get("ok", 0), attempts)),
    )
    with st.container(horizontal=True, gap="large"):
        for label, value in figures:
            st.metric(label, value, width="content")


def _facts(job: JobView) -> None:
    """Say why a run ended with gaps, what a server charged, and why attempts failed."""
    if job.state == "finished" and job.message:
        st.caption(plain(job.message))
    usage = job.details.get("usage")
    if usage:
        tokens = usage["prompt_tokens"] + usage["reply_tokens"]
        money = f", {usage['money']:.4f} money" if usage["money"] else ""
        st.caption(f"{counted(usage['calls'], 'call')}, {counted(tokens, 'token')}{money} charged by the server.")
    for reason, number in (job.details.get("reasons") or {}).items():
        st.caption(plain(f"{counted(number, 'attempt')} failed: {reason}"))


def _next(job: JobView) -> None:
    if job.done and st.button(
        f"Generate triplets from {counted(job.done, 'premise')}",
        icon=":material/arrow_forward:",
        key="scratch_next",
    ):
        state.select(state.CORPUS, job.job_id)
        state.select(state.GENERATE_VIEW, "Preview")
        st.rerun()
