"""Home's list of jobs: those that run with their controls, then the history as a table."""

import pandas as pd
import streamlit as st

from workbench.components.job_progress import is_live, job_card, while_live
from workbench.components.text import plain
from workbench.components.wording import ago, duration
from workbench.jobs.folder import RESUMABLE
from workbench.jobs.kinds import kind_of
from workbench.jobs.views import JobView
from workbench.workspace import Workspace

_HISTORY_ROWS = 50


def job_list(workspace: Workspace) -> None:
    """Draw running, stopped and finished jobs; redraws itself while one runs."""
    if aside := workspace.jobs.set_aside():
        st.warning(
            plain(f"Set aside, as it is no job that can be read: {' '.join(aside.values())}"),
            icon=":material/folder_off:",
        )
    jobs = _listed(workspace)
    if not jobs:
        return

    def draw() -> bool:
        views = _listed(workspace)
        live = [job for job in views if is_live(job)]
        stopped = [job for job in views if job.state in RESUMABLE]
        if live:
            st.subheader("Running", anchor=False)
            for job in live:
                job_card(workspace, job, key="home")
        if stopped:
            st.subheader("Stopped, can go on", anchor=False)
            for job in stopped[:5]:
                job_card(workspace, job, key="home")
        _history([job for job in views if not is_live(job)])
        return bool(live)

    while_live(draw, live=any(is_live(job) for job in jobs))


def _listed(workspace: Workspace) -> list[JobView]:
    """Every job but those that only show something on the page that asked for it."""
    return [job for job in workspace.jobs.list() if not kind_of(job.spec).shown_where_asked]


def _history(jobs: list[JobView]) -> None:
    if not jobs:
        return
    st.subheader("Past jobs", anchor=False)
    rows = [
        {
            "Job": kind_of(job.spec).title,
            "What": job.title,
            "State": job.state,
            "Done": f"{job.done:,} of {job.total:,}",
            "Took": "" if (seconds := _seconds(job)) is None else duration(seconds),
            "Ended": ago(job.finished_at),
        }
        for job in jobs[:_HISTORY_ROWS]
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, alt="Past jobs with their state")


def _seconds(job: JobView) -> float | None:
    if not (job.started_at and job.finished_at):
        return None
    return (pd.Timestamp(job.finished_at) - pd.Timestamp(job.started_at)).total_seconds()
