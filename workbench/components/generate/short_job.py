"""Jobs of a few seconds that somebody looks at: their progress where their result will be, and a way to stop them."""

import json
from collections.abc import Callable
from typing import Any

import streamlit as st

from workbench import state
from workbench.actions.jobs import cancel
from workbench.components.job_progress import is_live, progress_words, share, while_live
from workbench.components.notice import errors_shown
from workbench.components.text import plain
from workbench.jobs.kinds import JobSpec
from workbench.jobs.views import JobView, S
from workbench.workspace import Workspace

Result = Any
"""What the job's file holds: values of JSON."""


def chosen_job(workspace: Workspace, name: str, kind: type[S]) -> JobView[S] | None:
    """Return the job that URL or session names under `name`; None for one that is gone or of another kind."""
    job_id = state.recall(name)
    return next((job for job in workspace.jobs.of(kind) if job.job_id == job_id), None)


def result_of(workspace: Workspace, job: JobView[JobSpec], file: str) -> Result | None:
    """Return what the job has written so far; None before its first word."""
    path = workspace.jobs.output(job.job_id, file)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def short_job(
    workspace: Workspace, job: JobView[JobSpec], *, file: str, show: Callable[[Result, bool], None]
) -> None:
    """Draw what the job has given so far and, while it runs, how far it is; redraws itself until it ends.

    `show` gets the result and whether more is to come.
    """

    def draw() -> bool:
        now = workspace.jobs.get(job.job_id)
        live = is_live(now)
        if live:
            with st.container(horizontal=True, vertical_alignment="center"):
                with st.container(width="stretch"):
                    st.progress(share(now), text=plain(f"{now.message or 'Waiting'} · {progress_words(now)}"))
                if st.button("Cancel", icon=":material/close:", key=f"cancel_{job.job_id}"):
                    with errors_shown():
                        cancel(workspace, job_id=job.job_id)
        elif now.state == "failed":
            st.error(plain(now.message), icon=":material/error:")
        elif now.state != "finished":
            st.caption(f"This was {now.state}; what it had written is shown.")
        result = result_of(workspace, now, file)
        if result is not None:
            show(result, live)
        return live

    while_live(draw, live=is_live(job))


def cancel_others(workspace: Workspace, kind: type[JobSpec], keep: str | None) -> None:
    """Cancel live jobs of this kind whose settings are no longer what the page shows."""
    for job in workspace.jobs.of(kind):
        if is_live(job) and job.job_id != keep:
            with errors_shown():
                cancel(workspace, job_id=job.job_id)
