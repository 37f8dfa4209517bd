"""The meaning of colours, and what all charts share. Plotly takes fonts and grid from the Streamlit theme."""

from collections.abc import Sequence
from typing import Any, Final, Literal

import streamlit as st
from plotly.graph_objects import Figure

from pipeline.records import Outcome, Side
from pipeline.statistics import Interval

BadgeColour = Literal["red", "orange", "yellow", "blue", "green", "violet", "gray"]

INK: Final = "#6B7480"
GREY: Final = "#A9B1BC"
"""What is unknown or undecided: no value, or no clear difference."""
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
"""From the Okabe-Ito palette: distinct to colour-blind readers, legible on white and on near-black."""

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
    Outcome.EMPTY: GREY,
    Outcome.REFUSED: "#8C6BB1",
    Outcome.LOOP: "#5B7F95",
    Outcome.WRONG_LANGUAGE: "#B57BA6",
    Outcome.TOO_LONG: "#7F94A6",
    Outcome.FAILED: "#3F4750",
}
"""Amber for what generation should avoid; charts draw `ok` in the colour of its side."""

SERIES: Final = ("#0A7FC2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#6B7480", "#8C6BB1")
"""Colours of runs and encoders, which have no meaning of their own."""

_MODEBAR: Final = ["zoomIn2d", "zoomOut2d", "autoScale2d"]
_AREAS: Final = ["select2d", "lasso2d"]
_BAR_ROOM, _LEGEND_ROOM = 32, 28
"""Height in pixels of Plotly's tool bar, and of a line of the legend below it."""


def draw(figure: Figure, *, key: str, alt: str, **more: Any) -> Any:
    """Draw a figure under its title; return what was selected in it, with `on_select`.

    The title is text of the page: Plotly would neither break it into lines nor keep its tool bar off it, which touch
    screens always show.
    """
    if title := figure.layout.title.text:
        st.markdown(f"**{title}**")
        named = sum(bool(trace.name) for trace in figure.data) > 1 and figure.layout.showlegend is not False
        below = figure.layout.legend.yref == "container"
        figure.layout.title.text = ""
        figure.layout.margin.t = _BAR_ROOM + (_LEGEND_ROOM if named and not below else 0)
    off = _MODEBAR + ([] if "box" in more.get("selection_mode", ()) else _AREAS)
    config = {"displaylogo": False, "modeBarButtonsToRemove": off}
    return st.plotly_chart(figure, key=key, config=config, alt=alt, **more)


def chart(title: str, *, x: str, y: str, height: int = 340) -> Figure:
    """Start a figure with its title, which is Markdown, and axis titles, which name their units."""
    # As one layout: Plotly checks the whole figure in every update, 33 ms in place of 4.
    more = {
        "title": {"text": title},
        "legend": {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "xanchor": "left"},
        # A constant revision keeps the reader's zoom when a live chart is redrawn.
        "uirevision": title,
        "xaxis": _axis(x),
        "yaxis": _axis(y),
    }
    return Figure(layout=_bare(height, top=_BAR_ROOM + _LEGEND_ROOM) | more)


def bare(figure: Figure, *, height: int, top: int) -> Figure:
    """Give a figure the page's background, narrow margins (`top` pixels above) and readable hover texts."""
    return figure.update_layout(_bare(height, top=top))


def _bare(height: int, *, top: int) -> dict[str, Any]:
    return {
        "height": height,
        "margin": {"l": 8, "r": 8, "t": top, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hoverlabel": {"font": {"size": 15}, "align": "left"},
    }


def _axis(title: str) -> dict[str, Any]:
    return {"title": {"text": title, "font": {"size": 14}}, "tickfont": {"size": 13}, "automargin": True}


def change_colour(change: Interval) -> str:
    """Grey without a clear difference, else blue for a gain and amber for a loss."""
    return GREY if not change.is_settled else HUMAN if change.value > 0 else WARNING


def error_bars(found: Interval, colour: str) -> dict[str, Any]:
    """Return Plotly's error bars of one point with its interval."""
    ends = {"array": [found.high - found.value], "arrayminus": [found.value - found.low]}
    return {"type": "data", "symmetric": False, **ends, "color": colour, "thickness": 3}


def interval_chart(title: str, *, x: str, rows: Sequence[tuple[str, Interval]]) -> Figure:
    """Draw a point with its interval per row (label, difference), the first at the top, and a line at zero."""
    figure = chart(title, x=x, y="", height=120 + 34 * len(rows))
    for place, (label, change) in enumerate(rows):
        colour = change_colour(change)
        figure.add_scatter(
            x=[change.value],
            y=[place],
            mode="markers",
            marker={"size": 11, "color": colour},
            error_x=error_bars(change, colour),
            hovertemplate=f"{label}: {change.words()}<extra></extra>",
        )
    figure.add_vline(x=0, line={"color": INK, "width": 1})
    labels = [label for label, _ in rows]
    figure.update_yaxes(autorange="reversed", tickvals=list(range(len(rows))), ticktext=labels)
    return figure.update_layout(showlegend=False)


def button_kind(primary: bool) -> Literal["primary", "secondary"]:
    """Return the look of a button; the primary one is the next step."""
    return "primary" if primary else "secondary"


def text_colour() -> str:
    """Return the page's text colour, for annotations that Plotly would draw in the grey of its axes."""
    return "#E6E9ED" if st.context.theme.type == "dark" else "#12161B"


def quiet_colour() -> str:
    """Return a grey for words in tables, which can be read on either page."""
    return "#9AA5B1" if st.context.theme.type == "dark" else "#5B6470"


def see_through(colour: str, opacity: float) -> str:
    """Return #RRGGBB as a translucent rgba() colour."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"
