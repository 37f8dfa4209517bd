"""Encoders of the workspace beside published ones, and the same table for a paper."""

import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler

from pipeline.evaluation.leaderboard import Entry, as_csv, as_latex, as_markdown, columns, measured, published
from pipeline.evaluation.published import PUBLISHED
from workbench import theme
from workbench.components.encoder_names import scored_name

_GREY = f"color: {theme.INK}; font-style: italic"
_BEST = f"font-weight: 700; background-color: {theme.see_through(theme.POSITIVE, 0.22)}"
_EXPORTS = {
    "Markdown": (as_markdown, "leaderboard.md", "text/markdown"),
    "LaTeX": (as_latex, "leaderboard.tex", "text/x-tex"),
    "CSV": (as_csv, "leaderboard.csv", "text/csv"),
}
NOTE = (
    "All pairs of a task together, one Spearman x 100. SICK-R is the 4,927 test pairs, as published tables have it; "
    "mteb's SICK-R adds train and trial (9,927 pairs), so its number is another one. Grey rows are published, each "
    "read at its source; a row without numbers could not be verified."
)


def entries_of(scores: pd.DataFrame, names: dict[str, str]) -> list[Entry]:
    """Rows of the workspace's encoders: most tasks first, as other means do not compare, then the best mean."""
    by_encoder = [
        measured(scored_name(str(key), names), dict(zip(group["task"], group["spearman"], strict=True)))
        for key, group in scores.groupby("encoder_id")
    ]
    return sorted(by_encoder, key=lambda row: (-row.averaged_over, -(row.average or 0)))


def leaderboard_view(scores: pd.DataFrame, names: dict[str, str]) -> None:
    """Draw the leaderboard and offer it for a paper."""
    own = entries_of(scores, names)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        with_published = st.toggle("With published results", value=True, key="with_published")
        chosen = st.selectbox("Format", list(_EXPORTS), key="export_format", width=160)
        rows = own + ([published(row) for row in PUBLISHED] if with_published else [])
        write, filename, mime = _EXPORTS[chosen]
        st.download_button("Export", write(rows), filename, mime, icon=":material/download:", on_click="ignore")
    st.dataframe(
        leaderboard_style(rows),
        hide_index=True,
        placeholder="–",
        alt="Leaderboard",
        row_height=34,
        height=34 * (len(rows) + 1) + 6,
        column_config={"Encoder": st.column_config.TextColumn(width="large", pinned=True)},
    )
    st.caption(NOTE)


def leaderboard_style(rows: list[Entry]) -> Styler:
    """Two decimals, published rows grey, the best of the workspace's own encoders marked in each task."""
    tasks = columns(rows)
    frame = pd.DataFrame(
        [
            {"Encoder": row.name, "Average": row.average, "Tasks": row.averaged_over or None}
            | {task: row.scores.get(task) for task in tasks}
            | {"Source": row.source or "measured here"}
            for row in rows
        ]
    )
    numbers = ["Average", *tasks]
    frame[numbers] = frame[numbers].astype(float)
    style = frame.style.format(dict.fromkeys(numbers, "{:.2f}") | {"Tasks": "{:.0f}"}, na_rep="–")
    theirs = frame.index[[bool(row.source) for row in rows]]
    style = style.map(lambda _: _GREY, subset=pd.IndexSlice[theirs, :])
    own = frame.drop(theirs)
    for task in tasks:
        if own[task].notna().sum() > 1:
            style = style.map(lambda _: _BEST, subset=pd.IndexSlice[[own[task].idxmax()], [task]])
    return style
