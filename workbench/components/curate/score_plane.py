"""The (a, b) plane: where a judge puts the triplets, and which part of it the rule keeps."""

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from pipeline.config import CurationRule
from workbench import theme

TOP = 5.0
Point = tuple[float, float]


def kept_corner(rule: CurationRule) -> list[Point]:
    """Corners (a, b) of the region a >= alpha, b <= beta, a >= b + gamma on 0..5; empty when nothing can be kept.

    The region is the square cut by the line b = a - gamma (Sutherland-Hodgman with one cutting line).
    """
    if rule.alpha > TOP or rule.beta < 0:
        return []
    square = [(rule.alpha, 0.0), (TOP, 0.0), (TOP, rule.beta), (rule.alpha, rule.beta)]
    corners: list[Point] = []
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
        height=600,
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
        path = "M " + " L ".join(f"{a},{b}" for a, b in corners) + " Z"
        tint = theme.see_through(theme.HUMAN, 0.18)
        figure.add_shape(
            type="path", path=path, fillcolor=tint, line={"color": theme.HUMAN, "width": 2}, layer="below"
        )
    _line(figure, "α", ends=((rule.alpha, 0), (rule.alpha, TOP)), colour=theme.POSITIVE)
    _line(figure, "β", ends=((0, rule.beta), (TOP, rule.beta)), colour=theme.HARD_NEGATIVE)
    start = (max(0.0, rule.gamma), max(0.0, -rule.gamma))
    end = (min(TOP, TOP + rule.gamma), min(TOP, TOP - rule.gamma))
    _line(figure, "γ", ends=(start, end), colour=theme.INK)
    figure.update_layout(showlegend=False, coloraxis={"showscale": False, "cmin": 0})
    figure.update_xaxes(range=[0, TOP], dtick=1, constrain="domain")
    figure.update_yaxes(range=[0, TOP], dtick=1, scaleanchor="x", constrain="domain")
    return figure


def _line(figure: go.Figure, name: str, *, ends: tuple[Point, Point], colour: str) -> None:
    """Draw a threshold and write its letter just outside the plane, where the line leaves it."""
    (a0, b0), (a1, b1) = ends
    figure.add_shape(type="line", x0=a0, y0=b0, x1=a1, y1=b1, line={"color": colour, "width": 2, "dash": "dot"})
    leaves_right = a1 >= TOP and b1 < TOP
    figure.add_annotation(
        x=a1,
        y=b1,
        text=f"<b>{name}</b>",
        font={"color": colour, "size": 17},
        showarrow=False,
        xanchor="left" if leaves_right else "center",
        yanchor="middle" if leaves_right else "bottom",
        xshift=4 if leaves_right else 0,
    )


def score_plane(counts: np.ndarray, rule: CurationRule, *, key: str) -> tuple[Point, Point] | None:
    """Draw the plane; return the limits ((a low, a high), (b low, b high)) of the cell that was clicked, if any."""
    figure = plane_figure(counts, rule)
    _clickable(figure, counts)
    event = st.plotly_chart(
        figure,
        key=key,
        config=theme.MODEBAR,
        alt="Density of judge scores with the kept region",
        on_select="rerun",
        selection_mode="points",
    )
    points = event["selection"]["points"]
    if not points:
        return None
    half = TOP / counts.shape[0] / 2
    a, b = float(points[0]["x"]), float(points[0]["y"])
    return (a - half, a + half), (b - half, b + half)


def _clickable(figure: go.Figure, counts: np.ndarray) -> None:
    """Lay an invisible mark over each cell that holds a triplet: a density has no points to click."""
    a, b = np.nonzero(counts)
    cell = TOP / counts.shape[0]
    figure.add_scatter(
        x=(a + 0.5) * cell,
        y=(b + 0.5) * cell,
        customdata=counts[a, b],
        mode="markers",
        marker={"opacity": 0, "size": 9, "symbol": "square"},
        hovertemplate="a %{x:.2f}, b %{y:.2f}: %{customdata:,} triplets, click for them<extra></extra>",
        name="cells",
    )
    figure.update_layout(clickmode="event+select", dragmode=False)
