"""What colours mean and how every chart begins. Plotly takes fonts, grid and background from the Streamlit theme."""

from typing import Any, Final, Literal

import plotly.graph_objects as go
import streamlit as st

from pipeline.records import Outcome, Side

BadgeColour = Literal["red", "orange", "yellow", "blue", "green", "violet", "gray"]

INK: Final = "#6B7480"
POSITIVE: Final = "#009E73"
HARD_NEGATIVE: Final = "#D55E00"
MASKED: Final = "#CC79A7"
HUMAN: Final = "#0A7FC2"
WARNING: Final = "#E69F00"

ROLE_COLOURS: Final[dict[str, str]] = {
    "premise": INK,
    Side.POSITIVE: POSITIVE,
    Side.HARD_NEGATIVE: HARD_NEGATIVE,
    "sentence1": "#56B4E9",
    "sentence2": "#8C6BB1",
}
"""Marks of the Okabe-Ito palette: told apart by colour-blind readers and legible on white and on near-black."""

ROLE_NAMES: Final[dict[str, str]] = {
    "premise": "Premise",
    Side.POSITIVE: "Positive",
    Side.HARD_NEGATIVE: "Hard negative",
    "sentence1": "First sentence",
    "sentence2": "Second sentence",
}

OUTCOME_COLOURS: Final[dict[str, str]] = {
    Outcome.OK: INK,
    Outcome.COPY: WARNING,
    Outcome.NEAR_COPY: "#F0C987",
    Outcome.TRUNCATED: "#B8860B",
    Outcome.MALFORMED: "#C98B6B",
    Outcome.EMPTY: "#A9B1BC",
    Outcome.REFUSED: "#8C6BB1",
    Outcome.LOOP: "#5B7F95",
    Outcome.WRONG_LANGUAGE: "#B57BA6",
    Outcome.TOO_LONG: "#7F94A6",
    Outcome.FAILED: "#3F4750",
}
"""Amber for what generation should avoid; `ok` is redrawn in the colour of its side."""

SERIES: Final = ("#0A7FC2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#6B7480", "#8C6BB1")
"""Colours of runs and encoders, which have no meaning of their own."""

MODEBAR: Final[dict[str, Any]] = {"displaylogo": False, "modeBarButtonsToRemove": ["select2d", "lasso2d"]}


def chart(title: str, *, x: str, y: str, height: int = 340) -> go.Figure:
    """Start a figure with its title, axis titles (with units) and tabular, uncluttered axes."""
    figure = go.Figure()
    figure.update_layout(
        title={"text": title, "font": {"size": 16}, "x": 0, "xanchor": "left"},
        height=height,
        margin={"l": 8, "r": 8, "t": 56, "b": 8},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 1, "xanchor": "right", "title": None},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hoverlabel={"font": {"size": 15}, "align": "left"},
        # A constant revision keeps the reader's zoom when a live chart is redrawn.
        uirevision=title,
    )
    figure.update_xaxes(title={"text": x, "font": {"size": 14}}, tickfont={"size": 13}, automargin=True)
    figure.update_yaxes(title={"text": y, "font": {"size": 14}}, tickfont={"size": 13}, automargin=True)
    return figure


def button_kind(primary: bool) -> Literal["primary", "secondary"]:
    """Return the look of a button: the one that is wanted next stands out."""
    return "primary" if primary else "secondary"


def text_colour() -> str:
    """The page's text colour, for marks inside a chart that Plotly would draw in its axes' grey."""
    return "#E6E9ED" if st.context.theme.type == "dark" else "#1B1F24"


def see_through(colour: str, opacity: float) -> str:
    """Turn #RRGGBB into an rgba() string for tints."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"
