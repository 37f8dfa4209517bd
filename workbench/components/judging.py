"""Starting judges on the chosen triplets, and their progress."""

import streamlit as st

from pipeline.curation.judges import EMBEDDED_JUDGES
from workbench import state
from workbench.actions.curation import start_judge
from workbench.components.curation_scope import Scope, judge_name
from workbench.components.job_progress import is_live, job_card, while_live
from workbench.components.notice import errors_shown
from workbench.jobs.folder import RESUMABLE
from workbench.jobs.views import JobView
from workbench.workspace import Workspace


def judging(workspace: Workspace, scope: Scope) -> None:
    """Offer to judge; while a judge runs or has stopped half-way, its card takes the place of the button."""
    open_jobs = _open_jobs(workspace)

    def draw() -> bool:
        jobs = _open_jobs(workspace)
        for job in jobs:
            job_card(workspace, job, key="judging")
        return any(is_live(job) for job in jobs)

    if open_jobs:
        while_live(draw, live=any(is_live(job) for job in open_jobs))
    elif scope.judge_id is None:
        with st.container(border=True):
            st.markdown(
                "**Judge these triplets.** A judge scores premise and positive (a) and premise and hard negative (b) "
                "from 0, unrelated, to 5, the same meaning."
            )
            _start(workspace, scope, primary=True)
    else:
        with st.popover("Judge again", icon=":material/gavel:"):
            st.caption("Triplets that a judge has scored keep their score; new ones are added.")
            _start(workspace, scope, primary=False)


def _start(workspace: Workspace, scope: Scope, *, primary: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        judges = st.pills(
            "Judges",
            list(EMBEDDED_JUDGES),
            selection_mode="multi",
            default=list(EMBEDDED_JUDGES),
            format_func=judge_name,
            key="judges",
        )
        kind = "primary" if primary else "secondary"
        if st.button("Judge", type=kind, icon=":material/gavel:", disabled=not judges, key="start_judge"):
            with errors_shown():
                start_judge(workspace, attempt_ids=list(scope.attempt_ids), judges=list(judges))
                state.select(state.JUDGE, judges[0])
                st.rerun()


def _open_jobs(workspace: Workspace) -> list[JobView]:
    judge_jobs = [job for job in workspace.jobs.list() if job.kind == "judge"]
    newest = judge_jobs[:1]
    stopped = [job for job in newest if job.state in RESUMABLE]
    return [job for job in judge_jobs if is_live(job)] or stopped
