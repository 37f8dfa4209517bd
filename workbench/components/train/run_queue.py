"""The queue of training: what runs, what waits in which order, and the buttons that change it."""

from collections.abc import Callable

import streamlit as st

from workbench import state
from workbench.actions.jobs import cancel, move
from workbench.components.job_progress import is_live, progress_words, share, while_live
from workbench.components.notice import errors_shown
from workbench.components.text import plain
from workbench.jobs.kinds import TrainSpec, kind_of
from workbench.jobs.views import JobView
from workbench.workspace import Workspace


def run_queue(workspace: Workspace) -> None:
    """Draw the queue; nothing while no training run waits."""

    def draw() -> bool:
        jobs = workspace.jobs.list()
        waiting = {job.job_id: job for job in jobs if job.state == "queued"}
        if not any(job.kind == "train" for job in waiting.values()):
            return False
        with st.container(border=True):
            st.markdown("**Queue**  \n:gray[One run at a time per device; the next one starts by itself.]")
            for job in jobs:
                if job.state == "running":
                    st.progress(share(job), text=f"{_words(job)} · {progress_words(job)}")
            order = [waiting[job_id] for job_id in _order(workspace, waiting)]
            for place, job in enumerate(order):
                _line(workspace, job, place, last=len(order) - 1)
        return True

    def live() -> bool:
        return any(is_live(job) for job in workspace.jobs.of(TrainSpec))

    while_live(draw, live=live() and any(job.state == "queued" for job in workspace.jobs.list()))


def _order(workspace: Workspace, waiting: dict[str, JobView]) -> list[str]:
    """All waiting jobs, lane by lane in the order in which they will start."""
    found: dict[str, None] = {}
    for job in waiting.values():
        for job_id in workspace.jobs.waiting(job.spec):
            found.setdefault(job_id)
    return [job_id for job_id in found if job_id in waiting]


def _line(workspace: Workspace, job: JobView, place: int, *, last: int) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"{place + 1}. {_words(job)}", width="stretch")
        moves: tuple[tuple[str, str, bool, Callable[[], object]], ...] = (
            ("Up", ":material/arrow_upward:", place == 0, lambda: move(workspace, job_id=job.job_id, places=-1)),
            (
                "Down",
                ":material/arrow_downward:",
                place == last,
                lambda: move(workspace, job_id=job.job_id, places=1),
            ),
            ("Remove", ":material/close:", False, lambda: cancel(workspace, job_id=job.job_id)),
        )
        for label, icon, is_off, act in moves:
            if st.button(label, icon=icon, key=f"queue_{label}_{job.job_id}", disabled=is_off, type="tertiary"):
                with errors_shown():
                    act()
                    st.rerun()
        if job.kind == "train" and st.button("Open", key=f"queue_open_{job.job_id}", type="tertiary"):
            state.select(state.RUN, job.job_id)
            st.rerun()


def _words(job: JobView) -> str:
    kind = "" if job.kind == "train" else f" :gray[({kind_of(job.spec).title})]"
    return f"{plain(job.title)}{kind}"
