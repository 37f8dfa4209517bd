"""The (a, b) plane: where a judge puts the triplets, and which part of it the rule keeps."""

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from pipeline.config import CurationRule
from workbench import theme

TOP = 5.0


def kept_corner(rule: CurationRule) -> list[tuple[float, float]]:
    """Corners (a, b) of the region a >= alpha, b <= beta, a >= b + gamma on 0..5; empty when nothing can be kept.

    The region is the square cut by the line b = a - gamma (Sutherland-Hodgman with one cutting line).
    """
    if rule.alpha > TOP or rule.beta < 0:
        return []
    square = [(rule.alpha, 0.0), (TOP, 0.0), (TOP, rule.beta), (rule.alpha, rule.beta)]
    corners: list[tuple[float, float]] = []
    for (a0, b0), (a1, b1) in zip(square, [*square[1:], square[0]], strict=True):
        room0, room1 = a0 - b0 - rule.gamma, a1 - b1 - rule.gamma
        if room0 >= 0:
            corners.append((a0, b0))
        if room0 * room1 < 0:
            part = room0 / (room0 - room1)
            corners.append((a0 + part * (a1 - a0), b0 + part * (b1 - b0)))
    return corners


def plane_figure(counts: np.ndarray, rule: CurationRule) -> go.Figure:
    """Density (bins, bins), first axis a, second axis b, both over 0..5, with the kept region outlined and tinted."""
    bins = counts.shape[0]
    middles = (np.arange(bins) + 0.5) * TOP / bins
    figure = theme.chart(
        "Judged triplets and the part the rule keeps",
        x="a: premise and positive, score 0 to 5",
        y="b: premise and hard negative, score 0 to 5",
        height=470,
    )
    # log1p lets single triplets show beside a crowded bin; empty bins stay transparent.
    figure.add_heatmap(
        x=middles,
        y=middles,
        z=np.where(counts.T > 0, np.log1p(counts.T), np.nan),
        customdata=counts.T,
        coloraxis="coloraxis",
        hoverongaps=False,
        hovertemplate="a %{x:.2f}, b %{y:.2f}: %{customdata:,} triplets<extra></extra>",
        name="triplets",
    )
    corners = kept_corner(rule)
    if corners:
        a, b = zip(*[*corners, corners[0]], strict=True)
        figure.add_scatter(
            x=a,
            y=b,
            mode="lines",
            fill="toself",
            fillcolor=theme.see_through(theme.HUMAN, 0.16),
            line={"color": theme.HUMAN, "width": 2},
            name="kept",
            hoverinfo="skip",
        )
    _line(figure, "α", x=(rule.alpha, rule.alpha), y=(0, TOP), colour=theme.POSITIVE)
    _line(figure, "β", x=(0, TOP), y=(rule.beta, rule.beta), colour=theme.HARD_NEGATIVE)
    _line(figure, "γ", x=(max(0, rule.gamma), TOP), y=(max(0, -rule.gamma), TOP - rule.gamma), colour=theme.INK)
    figure.update_layout(showlegend=False, coloraxis={"showscale": False})
    figure.update_xaxes(range=[0, TOP], dtick=1, constrain="domain")
    figure.update_yaxes(range=[0, TOP], dtick=1, scaleanchor="x", constrain="domain")
    return figure


def _line(figure: go.Figure, name: str, *, x: tuple[float, float], y: tuple[float, float], colour: str) -> None:
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines+text",
        line={"color": colour, "width": 1.5, "dash": "dot"},
        text=["", f"<b>{name}</b>"],
        textposition="bottom left",
        textfont={"color": colour, "size": 16},
        hoverinfo="skip",
        cliponaxis=False,
    )


def score_plane(counts: np.ndarray, rule: CurationRule, *, key: str) -> None:
    """Draw the plane."""
    figure = plane_figure(counts, rule)
    st.plotly_chart(figure, key=key, config=theme.MODEBAR, alt="Density of judge scores with the kept region")
