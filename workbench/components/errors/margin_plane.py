"""cos(premise, positive) against cos(premise, hard negative): one point per triplet, the diagonal and the margin."""

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from pipeline.analysis.margins import is_violated
from workbench import theme
from workbench.components.text import for_chart
from workbench.components.wording import count

_MOST_POINTS = 20_000
_MOST_TEXTS = 3_000
"""Above this the hover shows numbers only: three sentences a point would be megabytes for the browser."""


def drawn_rows(triplets: pd.DataFrame) -> pd.DataFrame:
    """All triplets, or of very many the worst half and a fixed random draw of the others."""
    if len(triplets) <= _MOST_POINTS:
        return triplets
    worst = (triplets["near"] - triplets["far"]).nsmallest(_MOST_POINTS // 2).index
    rest = triplets.drop(worst).sample(_MOST_POINTS - len(worst), random_state=0)
    return pd.concat([triplets.loc[worst], rest])


def margin_figure(triplets: pd.DataFrame, margin: float) -> go.Figure:
    """Points under the diagonal are in order; amber on or above it, ringed amber inside the margin."""
    near, far = triplets["near"].to_numpy(), triplets["far"].to_numpy()
    figure = theme.chart(
        "Positive against hard negative",
        x="cos(premise, positive)",
        y="cos(premise, hard negative)",
        height=520,
    )
    low = float(min(near.min(), far.min(), 0.0)) - 0.03
    for shift, dash, told in ((0.0, "solid", "equally near"), (margin, "dot", f"margin {margin:.2f}")):
        if shift or dash == "solid":
            figure.add_trace(
                go.Scatter(
                    x=[low + shift, 1.03],
                    y=[low, 1.03 - shift],
                    mode="lines",
                    name=told,
                    line={"color": theme.INK, "width": 1.5, "dash": dash},
                    hoverinfo="skip",
                )
            )
    wrong, close = is_violated(near, far), is_violated(near, far, margin=margin)
    figure.add_trace(
        go.Scattergl(
            x=near,
            y=far,
            mode="markers",
            name="triplet",
            showlegend=False,
            marker={
                "size": 7,
                "opacity": 0.75,
                "color": [
                    theme.WARNING if bad else theme.see_through(theme.WARNING, 0.35) if tight else theme.INK
                    for bad, tight in zip(wrong, close, strict=True)
                ],
                "symbol": ["diamond" if bad else "circle" for bad in wrong],
            },
            text=hover_texts(triplets),
            hovertemplate="%{text}<br>positive %{x:.3f}, hard negative %{y:.3f}<extra></extra>",
        )
    )
    figure.update_xaxes(range=[low, 1.03])
    figure.update_yaxes(range=[low, 1.03])
    return figure


def hover_texts(triplets: pd.DataFrame) -> list[str]:
    """The three sentences, escaped for Plotly; nothing where there are too many."""
    if len(triplets) > _MOST_TEXTS:
        return [""] * len(triplets)
    rows = zip(triplets["premise"], triplets["positive"], triplets["hard_negative"], strict=True)
    return [f"{for_chart(p)}<br><b>+</b> {for_chart(a)}<br><b>−</b> {for_chart(b)}" for p, a, b in rows]


def margin_plane(triplets: pd.DataFrame, margin: float, *, name: str) -> list[int]:
    """Draw the plane; returns the places of the selected triplets.

    `name` tells one set of triplets from another: points selected in one mean nothing in the next.
    """
    if triplets.empty:
        return []
    figure = margin_figure(triplets, margin)
    drawn = st.plotly_chart(
        figure,
        key=f"margins_{name}",
        on_select="rerun",
        selection_mode=("points", "box", "lasso"),
        config={"displaylogo": False},
        alt="Cosine with the positive against cosine with the hard negative",
    )
    if len(triplets) == _MOST_POINTS:
        st.caption(f"Drawn: {count(_MOST_POINTS)} triplets, the worst half of them and others at random.")
    last = len(figure.data) - 1
    points = [point["point_index"] for point in drawn.selection.points if point.get("curve_number") == last]
    return [place for place in points if place < len(triplets)]
