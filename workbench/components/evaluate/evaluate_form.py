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
from workbench.components.job_progress import job_strip
from workbench.components.notice import errors_shown
from workbench.components.text import plain
from workbench.jobs.kinds import EvaluateSpec, FetchSpec
from workbench.workspace import Workspace


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
    job_strip(workspace, EvaluateSpec, FetchSpec, key="evaluating")
