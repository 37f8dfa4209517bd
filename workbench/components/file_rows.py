"""What the import dialogs share: the encoding of an upload, and the table of its rejected rows."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from pipeline.files.source import encoding_offer, make_source
from workbench.components.text import plain
from workbench.components.wording import count

PACKED = ["gz", "bz2", "xz", "zst"]
"""Endings of packed text files, for the uploaders."""


def encoding_of(data: bytes, filename: str) -> str:
    """Offer the encoding that a file which is not UTF-8 is likely in, with a sample; empty for UTF-8."""
    offer = _offer(data, filename)
    if offer is None:
        return ""
    encoding, sample = offer
    st.caption(plain(f"Not all of this file is UTF-8. In {encoding}, its first such line is: {sample[:120]}"))
    return encoding if st.checkbox(f"Read it as {encoding}", key=f"encoding_{filename}") else ""


def rejected_table(rows: Sequence[Mapping[str, object]], reasons: Mapping[str, int]) -> None:
    """Draw the reasons and the first rows that were rejected."""
    with st.expander(f"Rejected rows ({count(sum(reasons.values()))})"):
        st.caption(plain(", ".join(f"{number} {reason}" for reason, number in reasons.items())))
        st.dataframe(pd.DataFrame(rows), hide_index=True, alt="Rejected rows with reasons")


@st.cache_data(max_entries=4, show_spinner=False)
def _offer(data: bytes, filename: str) -> tuple[str, str] | None:
    return encoding_offer(make_source(data, filename))
