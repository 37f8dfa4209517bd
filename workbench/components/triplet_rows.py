"""Triplets as a table; the grid shows text as text, whatever a model wrote into it."""

import pandas as pd
import streamlit as st

COLUMNS = {
    "premise": st.column_config.TextColumn("Premise", width="large"),
    "positive": st.column_config.TextColumn("Positive", width="large"),
    "hard_negative": st.column_config.TextColumn("Hard negative", width="large"),
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


def triplet_table(rows: pd.DataFrame, *, key: str, selectable: bool = False) -> int | None:
    """Draw the columns that are there, in a fixed order; returns the position of the selected row, if any."""
    shown = [name for name in COLUMNS if name in rows.columns]
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
