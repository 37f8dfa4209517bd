"""Encoders of the workspace beside published ones, and the same table for a paper."""

import json
from typing import Any, Final

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from pandas.io.formats.style import Styler
from plotly.subplots import make_subplots

from pipeline.evaluation.leaderboard import (
    PUBLISHED,
    Entry,
    as_csv,
    as_latex,
    as_markdown,
    columns,
    measured,
    published,
)
from pipeline.evaluation.sts import STANDARD_TASKS
from workbench import theme
from workbench.components.encoder_comparison import scored_name
from workbench.workspace import Workspace

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


MEAN, COVERED = "Mean", "Tasks"


def matrix_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Turn (encoder_id, task, spearman) into one row per encoder: mean, tasks covered, then the tasks, x 100.

    A missing score stays missing: the mean is over the tasks that are there, and says over how many.
    """
    wide = scores.pivot(index="encoder_id", columns="task", values="spearman") * 100
    order = [task for task in STANDARD_TASKS if task in wide] + sorted(set(wide) - set(STANDARD_TASKS))
    wide = wide[order]
    wide.insert(0, MEAN, wide.mean(axis=1))
    wide.insert(1, COVERED, wide[order].notna().sum(axis=1))
    return wide.sort_values([COVERED, MEAN], ascending=False)


def marked(table: pd.DataFrame) -> Styler:
    """Format the matrix: two decimals, best of each column marked.

    The best mean is marked among encoders that cover the most tasks; other means are not comparable with it.
    """
    numbers = [column for column in table if column != COVERED]
    style = table.style.format(dict.fromkeys(numbers, "{:.2f}") | {COVERED: "{:.0f}"})
    mark = f"font-weight: 700; background-color: {theme.see_through(theme.POSITIVE, 0.22)}"
    comparable = table.index[table[COVERED] == table[COVERED].max()]
    for column in numbers:
        rows = comparable if column == MEAN else table.index
        if table.loc[rows, column].notna().sum() > 1:
            style = style.map(lambda _: mark, subset=pd.IndexSlice[[table.loc[rows, column].idxmax()], [column]])
    return style


def score_matrix(scores: pd.DataFrame, names: dict[str, str]) -> tuple[str, str] | None:
    """Draw the matrix; returns the encoder and task of the cell that was clicked."""
    table = matrix_table(scores)
    shown = table.set_axis(_distinct([scored_name(str(key), names) for key in table.index]), axis="index")
    shown.index.name = "Encoder"
    event = st.dataframe(
        marked(shown),
        key="score_matrix",
        on_select="rerun",
        selection_mode="single-cell",
        placeholder="–",
        alt="Spearman by encoder and task",
        column_config={"Encoder": st.column_config.TextColumn(width="large")},
    )
    if not event.selection.cells:
        return None
    row, column = event.selection.cells[0]
    return (str(table.index[row]), column) if column in table.columns and column not in (MEAN, COVERED) else None


def _distinct(names: list[str]) -> list[str]:
    """Number equal names, because a styled table needs a unique index."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return result


MEASURES: Final = {
    "alignment": ("Alignment", "squared distance of pairs that people call alike; lower is closer"),
    "uniformity": ("Uniformity", "log of the mean potential of sentence pairs; lower is more even"),
    "anisotropy": ("Anisotropy", "mean cosine of different sentences; 0 is even"),
    "hubness": ("Hubness", "skew of how often a sentence is a near neighbour; 0 is none"),
    "effective_rank": ("Effective rank", "how many directions the space uses"),
}
_PER_ROW = 5


def space_view(workspace: Workspace, names: dict[str, str]) -> None:
    """Draw the measures of every encoder evaluated on a folder."""
    rows = measured_spaces(workspace)
    if not rows:
        st.caption("Evaluate an encoder again to measure its space.")
        return
    frame = pd.DataFrame(rows)
    frame["name"] = [scored_name(str(key), names) for key in frame["encoder_id"]]
    st.plotly_chart(space_figure(frame), key="space", config=theme.MODEBAR, alt="Measures of each encoder's space")
    st.caption("  \n".join(f"**{title}**: {meaning}." for title, meaning in MEASURES.values()))
    sentences = ", ".join(f"{int(number):,}" for number in sorted(set(frame["sentences"])))
    st.caption(
        f"Measured on {sentences} sentences of the evaluated tasks. None of these ranks encoders: an even space can "
        "order pairs badly, and a clustered one well."
    )


def measured_spaces(workspace: Workspace) -> list[dict[str, Any]]:
    """The latest measures of each encoder."""
    latest: dict[str, dict[str, Any]] = {}
    for job in reversed(workspace.jobs.list()):
        path = workspace.jobs.output(job.job_id, "space.json")
        if path.exists():
            record = json.loads(path.read_bytes())
            latest[record["encoder_id"]] = record
    return list(latest.values())


def space_figure(frame: pd.DataFrame) -> go.Figure:
    """One small chart per measure, one bar per encoder, the same colour everywhere."""
    figure = make_subplots(
        rows=1, cols=len(MEASURES), subplot_titles=[title for title, _ in MEASURES.values()], horizontal_spacing=0.06
    )
    for place, name in enumerate(frame["name"]):
        colour = theme.SERIES[place % len(theme.SERIES)]
        for column, measure in enumerate(MEASURES, start=1):
            figure.add_trace(
                go.Bar(
                    x=[frame[measure].iloc[place]],
                    y=[place],
                    orientation="h",
                    name=name[:40],
                    legendgroup=str(place),
                    showlegend=column == 1,
                    marker={"color": colour},
                    hovertemplate=f"%{{x:.3f}}<br>{MEASURES[measure][1]}<extra>{name[:30]}</extra>".replace(
                        "&", "&amp;"
                    ),
                ),
                row=1,
                col=column,
            )
    figure.update_yaxes(visible=False, autorange="reversed")
    figure.update_layout(
        height=170 + 30 * len(frame),
        margin={"l": 8, "r": 8, "t": 40, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h", "y": -0.35},
    )
    return figure
