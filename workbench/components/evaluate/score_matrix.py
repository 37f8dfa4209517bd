"""Encoders x tasks, Spearman x 100, with the mean and how many tasks it covers."""

import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler

from pipeline.evaluation.sts import STANDARD_TASKS
from workbench import theme
from workbench.components.encoder_names import scored_name

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
