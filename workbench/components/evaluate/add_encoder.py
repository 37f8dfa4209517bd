"""Taking in an encoder that was trained elsewhere."""

import streamlit as st

from workbench import state
from workbench.actions.encoders import LONGEST_NAME, add_encoder
from workbench.components.notice import errors_shown
from workbench.workspace import Workspace


def add_encoder_popover(workspace: Workspace) -> None:
    """Ask for a folder and a name; the new encoder is then the chosen one."""
    with st.popover("Add an encoder", icon=":material/add:", type="tertiary"):
        folder = st.text_input(
            "Folder of the model",
            key="add_encoder_folder",
            help="A folder of sentence-transformers or transformers with safetensors on this machine.",
        )
        name = st.text_input(
            "Name (optional)", key="add_encoder_name", max_chars=LONGEST_NAME, placeholder="the folder's own name"
        )
        st.caption("It can then be evaluated, mapped, compared, and chosen by name in a new run.")
        if st.button("Add", type="primary", key="add_encoder_start", disabled=not folder.strip()):
            with errors_shown():
                made = add_encoder(workspace, folder=folder, name=name)
                state.select(state.CANDIDATE, made["encoder_id"])
                st.rerun()
