"""Triplets as a table; the grid shows text as text, whatever a model wrote into it."""

from typing import Any

import pandas as pd
import streamlit as st

_SENTENCE = 235  # pixels: three sentences, scores, outcome and decision fit a laptop's width
_WRAPPED = 168
WRAPPED_ROW = 80
"""Height from which on the grid breaks a text into lines."""
ROLES = {"premise": "Premise", "positive": "Positive", "hard_negative": "Hard negative"}

COLUMNS = {name: st.column_config.TextColumn(title, width=_SENTENCE) for name, title in ROLES.items()} | {
    "a": st.column_config.NumberColumn("a", format="%.2f", width=56, help="Score of premise and positive"),
    "b": st.column_config.NumberColumn(
        "b", format="%.2f", width=56, help="Score of premise and hard negative, 0 to 5"
    ),
    "outcome": st.column_config.TextColumn("Outcome", width=110),
    "decision": st.column_config.TextColumn("Decision", width=80),
    "finding": st.column_config.TextColumn("Finding", width=220),
    "nearest": st.column_config.TextColumn("Bound by", width=70),
    "margin": st.column_config.NumberColumn("Margin", format="%+.2f", width=70),
}


def triplet_table(
    rows: pd.DataFrame, *, key: str, first: tuple[str, ...] = (), selectable: bool = False, wrapped: bool = False
) -> int | None:
    """Draw the columns that are there, in a fixed order after those named `first`; return the row clicked, if any.

    wrapped: whole sentences, over several lines, in place of as many rows as fit.
    """
    if "positive_outcome" in rows.columns:
        rows = rows.assign(outcome=outcomes(rows))
    shown = [*first, *(name for name in COLUMNS if name in rows.columns and name not in first)]
    filled = [name for name in shown if not rows[name].isna().all()]
    shape: Any = {"hide_index": True, "column_config": COLUMNS, "row_height": 38, "placeholder": "–"}
    if wrapped:
        narrow = {name: st.column_config.TextColumn(ROLES[name], width=_WRAPPED) for name in ROLES}
        shape |= {"row_height": WRAPPED_ROW, "height": "content", "column_config": COLUMNS | narrow}
    if not selectable:
        st.dataframe(rows[filled], key=key, alt="Triplets", **shape)
        return None
    event = st.dataframe(
        rows[filled], key=key, alt="Triplets", on_select="rerun", selection_mode="single-row", **shape
    )
    marked = event.selection.rows
    return marked[0] if marked and marked[0] < len(rows) else None


def outcomes(rows: pd.DataFrame) -> list[str]:
    """Both sides' outcomes in one word where they agree."""
    pairs = zip(rows["positive_outcome"], rows["hard_negative_outcome"], strict=True)
    return [positive if positive == negative else f"{positive} / {negative}" for positive, negative in pairs]
