"""How the sides of an attempt ended: one bar per side, one segment per outcome."""

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from pipeline.records import Outcome, Side
from workbench import theme
from workbench.components.notice import no_chart
from workbench.components.wording import count, percent

_TITLE = "Outcomes per side"
_SIDES = (Side.HARD_NEGATIVE, Side.POSITIVE)  # Plotly draws the first bar at the bottom


def outcome_bars(counts: pd.DataFrame, *, key: str) -> None:
    """Draw counts (side, outcome, count); each premise has one outcome per side, so the bars are equally long."""
    if counts.empty or not counts["count"].sum():
        no_chart(_TITLE, "The first finished premises appear here.")
        return
    st.plotly_chart(outcome_figure(counts), key=key, config=theme.MODEBAR, alt=spoken(counts))


def outcome_figure(counts: pd.DataFrame) -> go.Figure:
    """Build the stacked bars."""
    table = counts.pivot_table(index="side", columns="outcome", values="count", aggfunc="sum", fill_value=0)
    table = table.reindex(index=[str(side) for side in _SIDES], columns=[str(o) for o in Outcome], fill_value=0)
    figure = theme.chart(_TITLE, x="premises", y="", height=230)
    for outcome in Outcome:
        values = table[str(outcome)]
        if not values.sum():
            continue
        is_ok = outcome is Outcome.OK
        figure.add_bar(
            x=values,
            y=[theme.ROLE_NAMES[side] for side in _SIDES],
            orientation="h",
            name=str(outcome).replace("_", " "),
            marker={"color": [theme.ROLE_COLOURS[s] for s in _SIDES] if is_ok else theme.OUTCOME_COLOURS[outcome]},
            showlegend=not is_ok,
            text=[f"ok {count(value)}" if is_ok and value else "" for value in values],
            textposition="inside",
            insidetextanchor="start",
            insidetextfont={"color": "white", "size": 14},
            hovertemplate=f"%{{y}}: %{{x}} {outcome}<extra></extra>",
        )
    figure.update_layout(barmode="stack", bargap=0.35)
    return figure


def spoken(counts: pd.DataFrame) -> str:
    """Say the shares of ok rows in words, for screen readers."""
    parts = []
    for side in reversed(_SIDES):
        of_side = counts[counts["side"] == str(side)]
        ok = of_side.loc[of_side["outcome"] == str(Outcome.OK), "count"].sum()
        parts.append(f"{theme.ROLE_NAMES[side]}: {percent(ok, of_side['count'].sum())} ok")
    return "; ".join(parts)
