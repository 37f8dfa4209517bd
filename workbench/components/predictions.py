"""The pairs behind a score: gold and predicted similarity of every pair of a task."""

from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from workbench import theme
from workbench.components.text import for_chart
from workbench.components.wording import counted, spearman
from workbench.workspace import Workspace


def pairs_path(workspace: Workspace, job_id: str, task: str) -> Path:
    """File that an evaluation wrote for a task."""
    return workspace.jobs.output(job_id, f"pairs-{task}.parquet")


@st.cache_data(max_entries=16, show_spinner=False)
def read_pairs(path: str, modified: float) -> pd.DataFrame:
    """Read sentence1, sentence2, subset, gold, predicted and add ranks as fractions and the signed error.

    `modified` belongs to the cache key: a job that runs again writes the file anew.
    """
    del modified
    pairs = pd.read_parquet(path)
    pairs["gold_rank"] = pairs["gold"].rank(pct=True)
    pairs["predicted_rank"] = pairs["predicted"].rank(pct=True)
    pairs["error"] = pairs["predicted_rank"] - pairs["gold_rank"]
    return pairs


def load_pairs(workspace: Workspace, job_id: str, task: str) -> pd.DataFrame | None:
    """Pairs of a task, or None when the evaluation's files are gone."""
    path = pairs_path(workspace, job_id, task)
    return read_pairs(str(path), path.stat().st_mtime) if path.exists() else None


def gold_figure(pairs: pd.DataFrame, title: str) -> go.Figure:
    """Gold score against predicted cosine, one point per pair, colour by how far the ranks differ."""
    figure = theme.chart(title, x="gold score given by people", y="predicted cosine", height=460)
    points = pair_points(pairs, "predicted")
    points.marker.colorbar = {"title": {"text": "rank<br>error"}, "thickness": 12, "tickvals": [-1, 0, 1]}
    figure.add_trace(points)
    return figure


def pair_points(pairs: pd.DataFrame, height: str) -> go.Scattergl:
    """One point per pair at its gold score and the column `height`, coloured by the signed rank error."""
    return go.Scattergl(
        x=pairs["gold"],
        y=pairs[height],
        mode="markers",
        marker={
            "size": 6,
            "opacity": 0.7,
            "color": pairs["error"],
            "cmin": -1,
            "cmax": 1,
            "colorscale": ERROR_SCALE,
        },
        text=hover_texts(pairs),
        hovertemplate="%{text}<extra></extra>",
    )


ERROR_SCALE = [[0.0, "#A38A00"], [0.5, "#A9B1BC"], [1.0, "#6A63D6"]]
"""Olive: predicted too low; indigo: too high; grey: the ranks agree. None of them is the colour of a role."""


def hover_texts(pairs: pd.DataFrame) -> list[str]:
    """Both sentences and the numbers, escaped for Plotly."""
    return [
        f"{for_chart(row.sentence1)}<br><br>{for_chart(row.sentence2)}<br><br>"
        f"gold {row.gold:.2f}, cosine {row.predicted:.3f}"
        for row in pairs.itertuples()
    ]


def gold_scatter(workspace: Workspace, scores: pd.DataFrame, encoder_id: str, task: str, name: str) -> None:
    """Draw the scatter behind one cell of the matrix."""
    cell = scores[(scores["encoder_id"] == encoder_id) & (scores["task"] == task)].iloc[0]
    pairs = load_pairs(workspace, cell["job_id"], task)
    st.subheader(f"{task}: {spearman(cell['spearman'])}", anchor=False)
    if pairs is None:
        st.caption("The predictions behind this score are no longer in the workspace: evaluate again to see them.")
        return
    figure = gold_figure(pairs, f"{counted(len(pairs), 'pair')}, {name}")
    st.plotly_chart(figure, key="gold_scatter", config=theme.MODEBAR, alt=f"Gold against predicted, {task}")
