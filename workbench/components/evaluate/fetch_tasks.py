"""Fetching tasks from the hub into the workspace, and using those that were fetched."""

import streamlit as st

from pipeline.evaluation.hub_tasks import ON_HUB, fetched
from workbench import state
from workbench.actions.evaluation import start_fetch, tasks_folder
from workbench.components.notice import errors_shown
from workbench.components.wording import count, counted
from workbench.workspace import Workspace

_NOTES = {
    "sts": "STS12 to STS16, STS-B and SICK-R at pinned revisions. SICK-R is cut to its 4,927 test pairs: published "
    "tables are about these, while the hub's copy adds train and trial.",
    "retrieval": "NanoBEIR tasks of 50 queries each, and two whole ones of BEIR, at pinned revisions.",
}


def fetch_popover(workspace: Workspace, kind: str, *, folder_state: str) -> None:
    """Offer the tasks that are not here yet, and the folder of those that are."""
    folder = tasks_folder(workspace, kind)
    here = fetched(folder)
    missing = [name for name in ON_HUB[kind] if name not in here]
    with st.popover("Tasks from the hub", icon=":material/cloud_download:", type="tertiary"):
        st.caption(_NOTES[kind])
        if here:
            st.button(
                f"Use the {counted(len(here), 'task')} in this workspace",
                icon=":material/folder_open:",
                on_click=state.set_folder,
                args=(folder_state, str(folder)),
                key=f"use_fetched_{kind}",
            )
        if not missing:
            return
        chosen = st.multiselect("To fetch over the network", missing, default=missing, key=f"fetch_{kind}")
        if st.button(f"Fetch {count(len(chosen))}", type="primary", disabled=not chosen, key=f"start_fetch_{kind}"):
            with errors_shown():
                start_fetch(workspace, kind=kind, tasks=chosen)
                st.rerun()
