"""The shape of each encoder's space as small multiples: context for a score, never a ranking."""

import json
from typing import Any, Final

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from workbench import theme
from workbench.components.encoder_names import scored_name
from workbench.workspace import Workspace

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
