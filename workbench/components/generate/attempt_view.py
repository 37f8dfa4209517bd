"""One generation attempt as it grows: progress and controls, outcome bars, rows by outcome, freshest rows."""

import pandas as pd
import streamlit as st

from workbench import state
from workbench.components import links
from workbench.components.generate.attempt_table import attempt_names
from workbench.components.generate.generation_form import GenerationChoice
from workbench.components.generate.outcome_bars import outcome_bars
from workbench.components.generate.outcome_examples import outcome_examples
from workbench.components.job_progress import is_live, job_card, while_live
from workbench.components.notice import empty_state
from workbench.components.text import plain
from workbench.components.triplet_rows import triplet_table
from workbench.components.wording import counted
from workbench.jobs.kinds import GenerateSpec
from workbench.jobs.views import JobView
from workbench.store.filters import TripletFilter
from workbench.workspace import Workspace

_FRESH = 5


def attempt_view(workspace: Workspace, attempts: pd.DataFrame, choice: GenerationChoice) -> None:
    """Draw the attempt that the picker names; redraws itself while its job runs."""
    names = attempt_names(workspace, attempts)
    attempt_id = state.pick("Attempt", list(names), name=state.ATTEMPT, names=names)
    if attempt_id is None:
        empty_state(
            "No triplets yet",
            hint="Start with the settings of the form; 100 premises are enough for a first look.",
            icon=":material/edit_note:",
        )
        return
    _growing(workspace, attempt_id)
    chosen = TripletFilter(attempt_ids=(attempt_id,), outcome="ok")
    if usable := workspace.store.triplets.count(chosen):
        st.page_link(
            links.CURATE, label=f"Curate {counted(usable, 'triplet')} with both sides ok", icon=":material/rule:"
        )
    outcome_examples(workspace, attempt_id, workspace.store.triplets.outcome_counts(attempt_id), choice)


def _growing(workspace: Workspace, attempt_id: str) -> None:
    chosen = TripletFilter(attempt_ids=(attempt_id,))
    job = _job(workspace, attempt_id)

    def draw() -> bool:
        job = _job(workspace, attempt_id)
        if job and job.state != "finished":
            job_card(workspace, job, key="attempt")
        if job:
            run_facts(job)
        outcome_bars(workspace.store.triplets.outcome_counts(attempt_id), key="outcomes")
        rows = workspace.store.triplets.page(chosen, limit=_FRESH, newest_first=True)
        if not rows.empty:
            st.markdown("**Freshest rows**")
            triplet_table(rows, key="fresh", wrapped=True)
        return bool(job and is_live(job))

    while_live(draw, live=bool(job and is_live(job)))


def run_facts(job: JobView) -> None:
    """Say what was charged, what computed, what was taken over, why rows failed; nothing where there is none."""
    usage, reused = job.details.get("usage"), job.details.get("reused")
    if usage:
        tokens = usage["prompt_tokens"] + usage["reply_tokens"]
        money = f", {usage['money']:.4f} money" if usage["money"] else ""
        st.caption(f"{counted(usage['calls'], 'call')}, {counted(tokens, 'token')}{money} charged by the server.")
    if engine := job.details.get("engine"):
        st.caption(plain(f"Computed by {engine}."))
    if reused:
        st.caption(f"{counted(reused, 'row')} taken over from an earlier run with the very same settings.")
    for reason, count in (job.details.get("reasons") or {}).items():
        st.caption(plain(f"{counted(count, 'side')} failed: {reason}"))


def _job(workspace: Workspace, attempt_id: str) -> JobView[GenerateSpec] | None:
    """Job of an attempt; imported triplets have none."""
    return next((job for job in workspace.jobs.of(GenerateSpec) if job.job_id == attempt_id), None)
