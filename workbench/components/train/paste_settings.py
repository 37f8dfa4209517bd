"""Bringing the settings of another run into the form, as text."""

import streamlit as st

from workbench.components.notice import errors_shown
from workbench.components.train.train_settings import start_from
from workbench.pasted_settings import read_settings

_EXAMPLE = """{"encoder": "static-minilm",
 "steps": 200, "mask_rule": "phi"}"""


def paste_settings() -> None:
    """Draw the popover; settings that can be used open the form anew."""
    with st.popover("Paste settings", icon=":material/content_paste:"):
        text = st.text_area(
            "Settings as JSON or YAML",
            key="train_paste",
            height=220,
            placeholder=_EXAMPLE,
            help="As a run copies them, as train_config.json beside an encoder, or the train block of a study.",
        )
        if st.button("Use them", type="primary", key="train_paste_use"):
            with errors_shown():
                start_from(read_settings(text), origin="pasted")
                st.rerun()
