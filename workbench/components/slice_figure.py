"""How much better or worse an encoder does on each slice than on the rest, as intervals around zero."""

from collections.abc import Sequence
from typing import Final

import plotly.graph_objects as go

from pipeline.analysis.slices import SliceScore
from workbench import theme

_TELLING_PAIRS: Final = 50


def title_of(group: str, name: str) -> str:
    """How a slice is called on screen and in the URL."""
    return f"{group} {name}" if group in ("subset", "source", "saved") else name


def interval_figure(rows: list[SliceScore]) -> go.Figure:
    """Difference to the rest per slice, times 100; titles stand above their bars, to fit a narrow column."""
    figure = theme.chart(
        "Worse or better than the rest", x="score x 100, slice less rest", y="", height=90 + 44 * len(rows)
    )
    places = list(range(len(rows)))
    colours = [slice_colour(row) for row in rows]
    reach = _reach(rows)
    shown = [min(reach, max(-reach, 100 * row.difference.value)) for row in rows]
    for place, row, colour in zip(places, rows, colours, strict=True):
        ends = [100 * row.difference.low, 100 * row.difference.high]
        figure.add_trace(
            go.Scatter(x=ends, y=[place, place], mode="lines", line={"color": colour, "width": 4}, hoverinfo="skip")
        )
        figure.add_annotation(
            text=f"{title_of(row.group, row.name)[:48]} ({row.pairs:,})".replace("<", "&lt;"),
            x=0, xref="paper", xanchor="left", y=place, yshift=13, showarrow=False, font={"size": 13},
        )  # fmt: skip
    figure.add_trace(
        go.Scatter(
            x=shown,
            y=places,
            mode="markers",
            marker={"size": 12, "color": colours, "symbol": [_symbol(row, reach) for row in rows]},
            customdata=[
                [100 * x for x in (r.difference.value, r.difference.low, r.difference.high, r.cost)] for r in rows
            ],
            hovertemplate="%{customdata[0]:+.1f} to the rest (95%: %{customdata[1]:+.1f} to %{customdata[2]:+.1f})"
            "<br>costs %{customdata[3]:+.2f}<extra></extra>",
        )
    )
    figure.add_vline(x=0, line={"color": theme.INK, "width": 1})
    figure.update_xaxes(range=[-1.05 * reach, 1.05 * reach])
    figure.update_yaxes(visible=False, range=[len(rows) - 0.4, -0.9])
    figure.update_layout(showlegend=False)
    return figure


def _reach(rows: Sequence[SliceScore]) -> float:
    """Half the width of the axis: slices of a few pairs have intervals that would leave the others no room."""
    telling = [row for row in rows if row.pairs >= _TELLING_PAIRS] or rows
    return max([1.0, *(100 * abs(end) for row in telling for end in (row.difference.low, row.difference.high))])


def _symbol(row: SliceScore, reach: float) -> str:
    if abs(100 * row.difference.value) <= reach:
        return "circle"
    return "triangle-right" if row.difference.value > 0 else "triangle-left"


def slice_colour(row: SliceScore) -> str:
    """Grey where it says nothing, amber where pairs are worse than the rest, blue where they are better."""
    if not row.difference.is_settled:
        return "#A9B1BC"
    return theme.HUMAN if row.difference.value > 0 else theme.WARNING
