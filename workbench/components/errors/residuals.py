"""Where an encoder and people disagree: signed rank error of every pair, and the worst of them."""

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from workbench import theme
from workbench.components.predictions import pair_points
from workbench.components.wording import count

_WORST = 100
_DIRECTIONS = {"both": "Both ways", "high": "Rated too close", "low": "Rated too far"}


def residual_figure(pairs: pd.DataFrame) -> go.Figure:
    """Signed rank error over the gold score: above zero the encoder finds the pair closer than people do."""
    figure = theme.chart(
        "Rank error over gold score",
        x="gold score given by people",
        y="predicted minus gold rank, share of all pairs",
        height=420,
    )
    figure.add_hline(y=0, line={"color": theme.INK, "width": 1})
    figure.add_trace(pair_points(pairs, "error"))
    figure.update_yaxes(range=[-1.02, 1.02])
    return figure


def worst(pairs: pd.DataFrame, direction: str, text: str) -> pd.DataFrame:
    """Pairs with the largest rank error in a direction (both, high, low) whose sentences contain the text."""
    chosen = pairs
    if direction != "both":
        chosen = chosen[chosen["error"] > 0] if direction == "high" else chosen[chosen["error"] < 0]
    if text:
        found = [chosen[name].str.contains(text, case=False, regex=False) for name in ("sentence1", "sentence2")]
        chosen = chosen[found[0] | found[1]]
    return chosen.loc[chosen["error"].abs().sort_values(ascending=False, kind="stable").index]


def residual_view(pairs: pd.DataFrame, *, name: str) -> tuple[pd.DataFrame, pd.Series | None]:
    """Draw the residuals and the table of the worst pairs; returns them all, worst first, and the chosen one.

    `name` tells one set of pairs from another: points selected in one mean nothing in the next.
    """
    drawn = st.plotly_chart(
        residual_figure(pairs),
        key=f"residuals_{name}",
        on_select="rerun",
        selection_mode=("points", "box", "lasso"),
        config={"displaylogo": False},
        alt="Rank error of every pair",
    )
    marked = [place for place in drawn.selection.point_indices if place < len(pairs)]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        direction = st.segmented_control(
            "Direction",
            list(_DIRECTIONS),
            default="both",
            required=True,
            format_func=_DIRECTIONS.__getitem__,
            key="error_direction",
        )
        text = st.text_input("Text", key="error_text", placeholder="in either sentence", icon=":material/search:")
    rows = worst(pairs.iloc[marked] if marked else pairs, str(direction), text.strip())
    where = "selected above" if marked else "here; mark an area above to see only its pairs"
    st.caption(f"The {count(min(_WORST, len(rows)))} largest of {count(len(rows))} pairs {where}.")
    shown = rows.head(_WORST)
    event = st.dataframe(
        shown[["error", "sentence1", "sentence2", "gold", "predicted", "subset"]],
        hide_index=True,
        key="worst_pairs",
        on_select="rerun",
        selection_mode="single-row",
        row_height=38,
        alt="Pairs with the largest rank error",
        column_config={
            "error": st.column_config.NumberColumn("Rank error", format="%+.2f", width="small"),
            "gold": st.column_config.NumberColumn("Gold", format="%.2f", width="small"),
            "predicted": st.column_config.NumberColumn("Cosine", format="%.3f", width="small"),
            "sentence1": st.column_config.TextColumn("Sentence 1", width="medium"),
            "sentence2": st.column_config.TextColumn("Sentence 2", width="medium"),
            "subset": "Subset",
        },
    )
    if shown.empty:
        return rows, None
    selected = event.selection.rows
    return rows, shown.iloc[selected[0] if selected and selected[0] < len(shown) else 0]
