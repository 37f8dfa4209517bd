"""Errors and empty states: what is missing, and the one thing to do about it."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from pipeline.durable import os_error_sentence
from pipeline.errors import InputError, StorageError
from workbench.components.text import plain


@contextmanager
def errors_shown() -> Iterator[None]:
    """Show an expected error as its one sentence; anything else is a defect and stays an exception."""
    try:
        yield
    except (InputError, StorageError) as error:
        st.error(plain(str(error)), icon=":material/error:")
    except OSError as error:
        st.error(plain(os_error_sentence(error)), icon=":material/error:")


def empty_state(what: str, *, hint: str, icon: str, page: str | None = None, action: str = "") -> None:
    """Say what is missing and lead to the page that provides it."""
    with st.container(border=True, horizontal_alignment="center"):
        st.subheader(what, icon=icon, anchor=False, text_alignment="center")
        st.caption(hint, text_alignment="center")
        if page and st.button(action, type="primary", icon=":material/arrow_forward:", key="empty_state"):
            st.switch_page(page)


def no_chart(title: str, hint: str, *, height: int = 220) -> None:
    """Stand in for a chart that has nothing to draw yet, at about its size so that the page does not jump."""
    with st.container(border=True, height=height, vertical_alignment="center", horizontal_alignment="center"):
        st.markdown(f"**{title}**", text_alignment="center")
        st.caption(hint, text_alignment="center")
