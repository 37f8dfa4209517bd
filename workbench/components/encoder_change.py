"""Two encoders on the same pairs: slope per slice, and the pairs that got better and worse most."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from pipeline.analysis.slices import SliceChange, rank_losses, slice_changes
from pipeline.evaluation.compare import ScoredPairs, compare
from pipeline.statistics import Interval
from workbench import theme
from workbench.components.slice_figure import title_of
from workbench.components.slice_view import ALL, members_of
from workbench.components.text import for_chart, plain
from workbench.components.wording import counted
from workbench.pair_slices import PairSlice

_SHOWN = 12
_PAIRS = 25
_GREY = "#A9B1BC"


@st.cache_data(max_entries=8, show_spinner="Comparing …")
def changes(
    key: tuple[str, float, str, float],
    _before: pd.DataFrame,
    _after: pd.DataFrame,
    saved: tuple[PairSlice, ...] = (),
) -> tuple[list[SliceChange], dict[str, np.ndarray]]:
    """Changes and members of every slice; both files, their times and the saved slices are the key of the cache."""
    del key
    gold = _before["gold"].to_numpy()
    losses = [rank_losses(frame["predicted"].to_numpy(), gold) for frame in (_before, _after)]
    members = members_of(_before, saved)
    return slice_changes(members, *losses, seed=0), {title_of(*name): inside for name, inside in members.items()}


@st.cache_data(max_entries=16, show_spinner="Resampling the pairs …")
def difference(key: tuple[str, float, str, float], _before: pd.DataFrame, _after: pd.DataFrame) -> Interval:
    """Paired bootstrap of the task's Spearman, after less before."""
    del key
    columns = [frame["predicted"].to_numpy() for frame in (_before, _after)]
    found = compare({"task": ScoredPairs(_before["gold"].to_numpy(), *columns)}, seed=0).average
    return found or Interval(float("nan"), float("nan"), float("nan"))


def same_pairs(before: pd.DataFrame, after: pd.DataFrame) -> bool:
    """Whether both evaluations saw the same pairs in the same order."""
    names = ["sentence1", "sentence2", "gold"]
    return len(before) == len(after) and before[names].equals(after[names])


def encoder_change(
    before: pd.DataFrame,
    after: pd.DataFrame,
    *,
    key: tuple[str, float, str, float],
    names: tuple[str, str],
    chosen: str,
    saved: tuple[PairSlice, ...] = (),
) -> None:
    """Draw the change from one encoder to another on a task, and on the chosen slice."""
    if not same_pairs(before, after):
        st.warning("The two encoders were evaluated on different versions of this task: evaluate both again.")
        return
    rows, members = changes(key, before, after, saved)
    of_slice = next((row for row in rows if title_of(row.group, row.name) == chosen), None)
    with st.container(horizontal=True):
        whole = difference(key, before, after)
        _metric("Task, Spearman x 100", whole)
        if of_slice:
            _metric(plain(chosen), of_slice.change)
    figure, table = st.columns([5, 7])
    with figure:
        if rows:
            st.plotly_chart(
                slope_figure(rows[:_SHOWN], names),
                key="slopes",
                config=theme.MODEBAR,
                alt="Score per slice, two encoders",
            )
    with table:
        _moved(before, after, None if chosen == ALL else members.get(chosen))


def slope_figure(rows: list[SliceChange], names: tuple[str, str]) -> go.Figure:
    """One line per slice from the first encoder's score to the second's; grey where the interval covers zero."""
    figure = theme.chart("Score per slice", x="", y="score x 100", height=460)
    for row in rows:
        colour = _GREY if not row.change.is_settled else theme.HUMAN if row.change.value > 0 else theme.WARNING
        title = title_of(row.group, row.name)
        figure.add_trace(
            go.Scatter(
                x=[0, 1],
                y=[100 * row.before, 100 * row.after],
                mode="lines+markers",
                line={"color": colour, "width": 2},
                name=title,
                hovertemplate=f"{for_chart(title)} ({row.pairs:,} pairs)<br>%{{y:.1f}}, "
                f"{100 * row.change.value:+.2f} ({100 * row.change.low:+.2f} to {100 * row.change.high:+.2f})"
                "<extra></extra>",
            )
        )
    figure.update_xaxes(tickvals=[0, 1], ticktext=[name[:24] for name in names], range=[-0.15, 1.15])
    figure.update_layout(showlegend=False)
    return figure


def moved_pairs(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Pairs with how much nearer to gold's order the second encoder ranks them; most improved first."""
    frame = before[["sentence1", "sentence2", "gold"]].copy()
    frame["change"] = before["error"].abs() - after["error"].abs()
    frame["before"], frame["after"] = before["error"], after["error"]
    return frame.sort_values("change", ascending=False, kind="stable")


def _moved(before: pd.DataFrame, after: pd.DataFrame, mask: object) -> None:
    moved = moved_pairs(before, after)
    if mask is not None:
        moved = moved[pd.Series(mask, index=before.index).loc[moved.index]]
    better, worse = st.tabs(["Better most", "Worse most"])
    for tab, rows in ((better, moved.head(_PAIRS)), (worse, moved.iloc[::-1].head(_PAIRS))):
        with tab:
            st.caption(f"{counted(len(rows), 'pair')} by how far the rank error shrank (+) or grew (-).")
            st.dataframe(
                rows[["change", "before", "after", "gold", "sentence1", "sentence2"]],
                hide_index=True,
                row_height=38,
                height=360,
                column_config={
                    name: st.column_config.NumberColumn(name.capitalize(), format="%+.2f", width="small")
                    for name in ("change", "before", "after")
                }
                | {
                    "gold": st.column_config.NumberColumn("Gold", format="%.2f", width="small"),
                    "sentence1": "Sentence 1",
                    "sentence2": "Sentence 2",
                },
            )


def _metric(label: str, change: Interval) -> None:
    interval = f"95%: {100 * change.low:+.2f} to {100 * change.high:+.2f}" + (
        "" if change.is_settled else ", says nothing"
    )
    st.metric(label, f"{100 * change.value:+.2f}", delta=interval, delta_color="off", delta_arrow="off")
