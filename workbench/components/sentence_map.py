"""Where an encoder puts sentences: one point per sentence, coloured by role, and the lines of a chosen triplet."""

import hashlib

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from workbench import state, theme
from workbench.components.text import for_chart, plain
from workbench.components.wording import count

ROLES = ("premise", "positive", "hard_negative")
_COLOUR_WORDS = {"premise": "gray", "positive": "green", "hard_negative": "red"}


@st.cache_resource(max_entries=8, show_spinner=False)
def read_points(path: str, modified: float) -> pd.DataFrame:
    """Read triplet_id, role, text, x, y and add the text for hovering; `modified` belongs to the cache key."""
    del modified
    points = pd.read_parquet(path)
    return points.assign(hover=[for_chart(text) for text in points["text"]])


def map_figure(points: pd.DataFrame, triplet_id: str | None) -> go.Figure:
    """Draw the roles as layers, premises first, and the chosen triplet's two lines on top."""
    figure = theme.chart("", x="", y="", height=640)
    for role in ROLES:
        part = points[points["role"] == role]
        figure.add_trace(
            go.Scattergl(
                x=part["x"],
                y=part["y"],
                mode="markers",
                name=theme.ROLE_NAMES[role],
                customdata=part["triplet_id"],
                text=part["hover"],
                hovertemplate=f"<b>{theme.ROLE_NAMES[role]}</b><br>%{{text}}<extra></extra>",
                marker={"size": 6, "opacity": 0.7 if triplet_id is None else 0.35, "color": theme.ROLE_COLOURS[role]},
            )
        )
    if triplet_id is not None:
        _lines(figure, points[points["triplet_id"] == triplet_id].set_index("role"))
    figure.update_layout(margin={"t": 32, "l": 0, "r": 0, "b": 0}, dragmode="pan", title=None)
    # The axes of such a map carry no unit; equal scales keep its distances comparable.
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, scaleanchor="x")
    return figure


def _lines(figure: go.Figure, triplet: pd.DataFrame) -> None:
    for role, dash in (("positive", "solid"), ("hard_negative", "dash")):
        ends = triplet.loc[["premise", role]]
        figure.add_trace(
            go.Scattergl(
                x=ends["x"],
                y=ends["y"],
                mode="lines+markers",
                line={"color": theme.ROLE_COLOURS[role], "width": 3, "dash": dash},
                marker={
                    "size": 13,
                    "color": [theme.INK, theme.ROLE_COLOURS[role]],
                    "line": {"width": 2, "color": "white"},
                },
                showlegend=False,
                hoverinfo="skip",
            )
        )


def sentence_map(points: pd.DataFrame, *, quality: tuple[float, float]) -> None:
    """Draw the map with its honesty badge; a click on a point chooses its triplet."""
    known = set(points["triplet_id"])
    chosen = state.recall(state.TRIPLET)
    chosen = chosen if chosen in known else None
    _badge(points, quality)
    # Plotly keeps no selection over a changed figure, so the chart's key follows the chosen triplet.
    mark = hashlib.blake2b(str(chosen).encode(), digest_size=4).hexdigest()
    event = st.plotly_chart(
        map_figure(points, chosen),
        key=f"sentence_map_{mark}",
        on_select="rerun",
        selection_mode="points",
        config=theme.MODEBAR | {"scrollZoom": True},
        alt=f"Map of {len(points)} sentences coloured by role",
    )
    clicked = [point.get("customdata") for point in event.selection.points]
    clicked = [value[0] if isinstance(value, list) else value for value in clicked if value]
    if clicked and clicked[0] != chosen:
        state.remember(state.TRIPLET, str(clicked[0]))
        st.rerun()
    if chosen:
        _drawer(points, chosen)
    else:
        st.caption("Choose a point to see its triplet.")


def _badge(points: pd.DataFrame, quality: tuple[float, float]) -> None:
    trust, recall = quality
    with st.container(horizontal=True):
        st.badge(f"{count(len(points))} sentences", color="gray")
        st.badge(
            f"trustworthiness {trust:.2f}",
            color="green" if trust >= 0.9 else "orange",
            help="Share of the map's neighbourhoods that are neighbourhoods of the encoder too; 1 is faithful.",
        )
        st.badge(
            f"neighbours kept {recall:.0%}",
            color="gray",
            help="Share of the nearest neighbours by the encoder that are also nearest on the map. Two dimensions "
            "cannot keep many: read clusters, not single distances.",
        )


def _drawer(points: pd.DataFrame, triplet_id: str) -> None:
    triplet = points[points["triplet_id"] == triplet_id].set_index("role")["text"]
    with st.container(border=True):
        for role in ROLES:
            st.markdown(f":{_COLOUR_WORDS[role]}-badge[{theme.ROLE_NAMES[role]}] {plain(triplet[role])}")
        if st.button("Clear the choice", icon=":material/close:", key="clear_triplet"):
            state.remember(state.TRIPLET, None)
            st.rerun()
