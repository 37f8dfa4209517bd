"""Starting an evaluation on a folder of STS tasks."""

from pathlib import Path

import streamlit as st

from pipeline.evaluation.sts import find_tasks
from workbench import state
from workbench.actions.evaluation import start_evaluate
from workbench.components.encoder_names import encoder_names
from workbench.components.evaluate.add_encoder import add_encoder_popover
from workbench.components.evaluate.fetch_tasks import fetch_popover
from workbench.components.evaluate.own_pairs_form import own_pairs_dialog
from workbench.components.job_progress import is_live, job_card, while_live
from workbench.components.notice import errors_shown
from workbench.components.text import plain
from workbench.components.wording import count
from workbench.jobs.kinds import EvaluateSpec, FetchSpec, JobSpec
from workbench.workspace import Workspace

_KINDS: tuple[type[JobSpec], ...] = (EvaluateSpec, FetchSpec)


def evaluate_form(workspace: Workspace) -> None:
    """Draw encoder, folder and start; while an evaluation runs, its progress."""
    names = encoder_names(workspace)
    encoder, folder, start = st.columns([2, 3, 1], vertical_alignment="bottom")
    with encoder:
        chosen = state.pick("Encoder", list(names), name=state.CANDIDATE, names=names)
    with folder:
        sts_dir = state.folder_input(
            "STS folder",
            name=state.STS_FOLDER,
            help="Files such as STSB-test.tsv, or the tasks in SentEval's layout.",
        )
    pressed = start.button(
        "Evaluate", type="primary", icon=":material/play_arrow:", disabled=not sts_dir, width="stretch"
    )
    with st.container(horizontal=True):
        if st.button("Evaluate on my own pairs", icon=":material/upload_file:", type="tertiary"):
            own_pairs_dialog(workspace, str(chosen))
        add_encoder_popover(workspace)
        fetch_popover(workspace, "sts", folder_state=state.STS_FOLDER)
    if sts_dir:
        with errors_shown():
            tasks = find_tasks(Path(sts_dir).expanduser())
            st.caption(plain(f"{len(tasks)} tasks in this folder: {', '.join(tasks)}"))
            if pressed:
                start_evaluate(workspace, encoder=str(chosen), sts_dir=sts_dir)
                st.rerun()
    _progress(workspace)


def _progress(workspace: Workspace) -> None:
    def live_jobs() -> list:
        return [job for kind in _KINDS for job in workspace.jobs.of(kind) if is_live(job)]

    def draw() -> bool:
        jobs = live_jobs()
        running = [job for job in jobs if job.state == "running"] or jobs[:1]
        for job in running:
            job_card(workspace, job, key="evaluating")
        if len(jobs) > len(running):
            st.caption(f"{count(len(jobs) - len(running))} more wait for their turn; Home lists them.")
        return bool(jobs)

    if live_jobs():
        while_live(draw, live=True)
    else:
        for kind in _KINDS:
            latest = workspace.jobs.latest(kind)
            if latest and latest.state == "failed":
                job_card(workspace, latest, key="evaluating")
