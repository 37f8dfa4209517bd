"""One generation attempt as it grows: progress and controls, outcome bars, freshest rows."""

import streamlit as st

from workbench.components import links
from workbench.components.job_progress import is_live, job_card, while_live
from workbench.components.outcome_bars import outcome_bars
from workbench.components.triplet_rows import triplet_table
from workbench.components.wording import counted
from workbench.jobs.views import JobView
from workbench.store.filters import TripletFilter
from workbench.workspace import Workspace

_FRESH = 8


def attempt_view(workspace: Workspace, attempt_id: str) -> None:
    """Draw the attempt; redraws itself while its job runs."""
    chosen = TripletFilter(attempt_ids=(attempt_id,))
    job = _job(workspace, attempt_id)

    def draw() -> bool:
        job = _job(workspace, attempt_id)
        if job and job.state != "finished":
            job_card(workspace, job, key="attempt")
        outcome_bars(workspace.store.triplets.outcome_counts(attempt_id), key="outcomes")
        rows = workspace.store.triplets.page(chosen, limit=_FRESH, newest_first=True)
        if not rows.empty:
            st.markdown("**Freshest rows**")
            triplet_table(rows, key="fresh")
        return bool(job and is_live(job))

    while_live(draw, live=bool(job and is_live(job)))
    usable = workspace.store.triplets.count(TripletFilter(attempt_ids=(attempt_id,), outcome="ok"))
    if usable:
        st.page_link(
            links.CURATE, label=f"Curate {counted(usable, 'triplet')} with both sides ok", icon=":material/rule:"
        )


def _job(workspace: Workspace, attempt_id: str) -> JobView | None:
    """Job of an attempt; imported triplets have none."""
    return next((job for job in workspace.jobs.list() if job.job_id == attempt_id), None)
