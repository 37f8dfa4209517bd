"""The curves of a training run: dev score biggest, then loss and masked share."""

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from workbench import theme
from workbench.components.notice import no_chart


def train_curves(curve: pd.DataFrame, *, key: str) -> None:
    """Draw what has been recorded so far (step, loss, masked_share, dev_score, ...)."""
    if curve.empty:
        no_chart("Training curves", "The first recorded step appears here.")
        return
    scored = curve.dropna(subset=["dev_score"])
    if not scored.empty:
        figure = _line(
            scored["step"], scored["dev_score"] * 100, "Dev score", "Spearman x 100, STSB-dev", theme.HUMAN, 320
        )
        st.plotly_chart(figure, key=f"{key}_dev", config=theme.MODEBAR, alt="Dev score by step")
    left, right = st.columns(2)
    loss = _line(curve["step"], curve["loss"], "Loss", "mean over the batch, nats", theme.INK, 260)
    left.plotly_chart(loss, key=f"{key}_loss", config=theme.MODEBAR, alt="Loss by step")
    masked = _line(
        curve["step"], curve["masked_share"] * 100, "Masked candidates", "% of the candidates", theme.MASKED, 260
    )
    masked.update_yaxes(rangemode="tozero")
    right.plotly_chart(masked, key=f"{key}_masked", config=theme.MODEBAR, alt="Masked share by step")


def _line(x: pd.Series, y: pd.Series, title: str, unit: str, colour: str, height: int) -> go.Figure:
    figure = theme.chart(title, x="optimizer step", y=unit, height=height)
    # A single point draws no line, so a short curve shows its points too.
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines+markers" if len(x) < 30 else "lines",
        line={"color": colour, "width": 2},
        hovertemplate="step %{x}: %{y:.4g}<extra></extra>",
    )
    return figure
