"""The small chart beside the rows: how the colours are shared out among them; a click on a bar selects its points."""

from functools import partial
from itertools import pairwise

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from workbench import theme
from workbench.components.map import map_selection
from workbench.components.map.map_colours import Colouring
from workbench.components.map.map_parts import MapParts, mark
from workbench.components.text import for_chart

_BINS = 40


def shares_chart(parts: MapParts, points: np.ndarray, tab: str) -> None:
    """Draw the chart of these points."""
    key = f"map_shares_{parts.map_id}_{tab}_{parts.colours.title}_{mark(points)}"
    st.plotly_chart(
        shares(parts.colours, points),
        key=key,
        config=theme.MODEBAR,
        on_select=partial(_select_bar, parts, points, key),
        selection_mode="points",
        alt=f"{parts.colours.title}: {tab.lower()} points against all",
    )
    st.caption("Click a bar to select its points.")


def _select_bar(parts: MapParts, points: np.ndarray, key: str) -> None:
    clicked = st.session_state[key]["selection"]["points"]
    if clicked:
        chosen = points_of_bar(parts.colours, points, clicked[0]["customdata"])
        map_selection.select(parts.map_id, chosen, note=f"{parts.colours.title}: a bar of the chart")
        map_selection.show(parts.map_id, "Selected")


def points_of_bar(colours: Colouring, points: np.ndarray, bar: list[float]) -> np.ndarray:
    """Those of the points behind a bar: one colour index, or the values from one bin edge to the next."""
    if not colours.is_continuous:
        return points[colours.indices[points] == int(bar[0])]
    values, (low, high, is_last) = colours.labels[points], bar
    return points[(values >= low) & ((values < high) | (bool(is_last) & (values == high)))]


def shares(colours: Colouring, points: np.ndarray) -> go.Figure:
    """How the colours are shared out among these points, against all points."""
    figure = theme.chart(colours.title, x="share of points", y="", height=360)
    if colours.is_continuous:
        return _histogram(figure, colours, points)
    everywhere = np.bincount(colours.indices, minlength=256) / max(1, len(colours.indices))
    here = np.bincount(colours.indices[points], minlength=256) / max(1, len(points))
    entries = [entry for entry in colours.entries if entry[3] is not None][::-1]
    for name, share, opacity in (("all points", everywhere, 0.35), ("these points", here, 1.0)):
        figure.add_trace(
            go.Bar(
                x=[share[entry[3]] for entry in entries],
                y=[for_chart(entry[0]) for entry in entries],
                customdata=[[entry[3]] for entry in entries],
                orientation="h",
                name=name,
                opacity=opacity,
                marker_color=[entry[1] for entry in entries],
                hovertemplate="%{y}: %{x:.1%}<extra>" + name + "</extra>",
            )
        )
    figure.update_layout(barmode="group", showlegend=False)
    figure.update_xaxes(tickformat=".0%")
    return figure


def _histogram(figure: go.Figure, colours: Colouring, points: np.ndarray) -> go.Figure:
    """Both distributions in the same bins, counted here: the browser gets 40 bars and not every point."""
    known = colours.labels[np.isfinite(colours.labels)]
    if len(known):
        edges = np.histogram_bin_edges(known, bins=_BINS)
        bars = [[low, high, high == edges[-1]] for low, high in pairwise(edges)]
        here = colours.labels[points]
        for values, colour in ((known, theme.INK), (here[np.isfinite(here)], theme.HUMAN)):
            counts, _ = np.histogram(values, bins=edges)
            share = counts / max(1, counts.sum())
            middles = (edges[1:] + edges[:-1]) / 2
            figure.add_trace(go.Bar(x=middles, y=share, customdata=bars, opacity=0.6, marker_color=colour))
    figure.update_layout(barmode="overlay", bargap=0, showlegend=False)
    figure.update_xaxes(title={"text": colours.title})
    figure.update_yaxes(title={"text": "share of points"}, tickformat=".0%")
    return figure
