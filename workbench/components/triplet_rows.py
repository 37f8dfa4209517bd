"""Triplets as a table; the grid shows text as text, whatever a model wrote into it."""

import pandas as pd
import streamlit as st

_SENTENCE = 270  # pixels: three sentences and two scores fit a laptop's width

COLUMNS = {
    "premise": st.column_config.TextColumn("Premise", width=_SENTENCE),
    "positive": st.column_config.TextColumn("Positive", width=_SENTENCE),
    "hard_negative": st.column_config.TextColumn("Hard negative", width=_SENTENCE),
    "positive_outcome": st.column_config.TextColumn("Positive ended", width="small"),
    "hard_negative_outcome": st.column_config.TextColumn("Hard negative ended", width="small"),
    "a": st.column_config.NumberColumn(
        "a", format="%.2f", width="small", help="Score of premise and positive, 0 to 5"
    ),
    "b": st.column_config.NumberColumn(
        "b", format="%.2f", width="small", help="Score of premise and hard negative, 0 to 5"
    ),
    "decision": st.column_config.TextColumn("Decision", width="small"),
    "nearest": st.column_config.TextColumn("Bound by", width="small"),
    "margin": st.column_config.NumberColumn("Margin", format="%+.2f", width="small"),
}


def triplet_table(
    rows: pd.DataFrame, *, key: str, selectable: bool = False, first: tuple[str, ...] = ()
) -> int | None:
    """Draw the columns that are there, in a fixed order after those named `first`; returns the position of the selected row, if any."""
    shown = [*first, *(name for name in COLUMNS if name in rows.columns and name not in first)]
    event = st.dataframe(
        rows[shown],
        hide_index=True,
        column_config=COLUMNS,
        key=key,
        row_height=38,
        on_select="rerun" if selectable else "ignore",
        selection_mode="single-row",
        alt="Triplets",
    )
    chosen = event.selection.rows if selectable else []
    return chosen[0] if chosen else None
