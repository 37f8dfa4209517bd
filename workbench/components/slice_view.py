"""Slices of a task's pairs under an encoder, most costly first, with the interval of each difference to the rest."""

from math import isfinite

import pandas as pd
import streamlit as st

from pipeline.analysis.slices import SliceScore, rank_losses
from workbench import state, theme
from workbench.components.elements import count, counted, for_chart, plain
from workbench.results import TaskSlices, linked_pairs, members_of, slices_of, title_of
from workbench.store.files import PairSlice

ALL = "All pairs"
_SHOWN = 14
_ENOUGH_PAIRS = 50
_LABEL = 28
"""Characters of a label's line: two of them leave room for the picture on a narrow screen."""
_NO_SLICE = "No slice of this task has at least ten pairs inside and outside."


def interval_figure(rows: list[SliceScore]) -> theme.Figure:
    """Draw the difference to the rest per slice, x 100, its name beside it."""
    figure = theme.chart(
        "Worse or better than the rest", x="score x 100, slice minus rest", y="", height=100 + 40 * len(rows)
    )
    places = list(range(len(rows)))
    colours = [slice_colour(row) for row in rows]
    reach = _reach(rows)
    shown = [min(reach, max(-reach, 100 * row.difference.value)) for row in rows]
    for place, row, colour in zip(places, rows, colours, strict=True):
        ends = [100 * row.difference.low, 100 * row.difference.high]
        figure.add_scatter(
            x=ends, y=[place, place], mode="lines", line={"color": colour, "width": 4}, hoverinfo="skip"
        )
    figure.add_scatter(
        x=shown,
        y=places,
        mode="markers",
        marker={"size": 12, "color": colours, "symbol": [_symbol(row, reach) for row in rows]},
        customdata=[[100 * r.difference.value, r.difference.times(100).range("+.1f"), 100 * r.cost] for r in rows],
        hovertemplate="%{customdata[0]:+.1f} to the rest (95%: %{customdata[1]})"
        "<br>costs %{customdata[2]:+.2f}<extra></extra>",
    )
    figure.add_vline(x=0, line={"color": theme.INK, "width": 1})
    figure.update_xaxes(range=[-1.05 * reach, 1.05 * reach])
    names = [for_chart(f"{title_of(row.group, row.name)} ({row.pairs:,})", _LABEL) for row in rows]
    figure.update_yaxes(tickvals=places, ticktext=names, range=[len(rows) - 0.5, -0.5])
    figure.update_layout(showlegend=False)
    return figure


def _reach(rows: list[SliceScore]) -> float:
    """Return half the width of the axis, without the wide intervals of slices with few pairs."""
    large = [row for row in rows if row.pairs >= _ENOUGH_PAIRS] or rows
    ends = [end for row in large for end in (row.difference.low, row.difference.value, row.difference.high)]
    return max([1.0, *(100 * abs(end) for end in ends if isfinite(end))])


def _symbol(row: SliceScore, reach: float) -> str:
    if abs(100 * row.difference.value) <= reach:
        return "circle"
    return "triangle-right" if row.difference.value > 0 else "triangle-left"


def slice_colour(row: SliceScore) -> str:
    """Return grey without a clear difference, amber for pairs worse than the rest, blue for better ones."""
    return theme.change_colour(row.difference)


@st.cache_data(max_entries=16, show_spinner="Looking for slices …")
def task_slices(path: str, modified: float, _pairs: pd.DataFrame, saved: tuple[PairSlice, ...] = ()) -> TaskSlices:
    """Score the slices of a task; cached by the file, its time and the saved slices."""
    del path, modified
    losses = rank_losses(_pairs["predicted"].to_numpy(), _pairs["gold"].to_numpy())
    return slices_of(members_of(_pairs, saved), losses, linked_pairs(_pairs))


def slice_picker(found: TaskSlices, *, no_slice: str = _NO_SLICE) -> str:
    """Draw picker, intervals and table; return the chosen slice's title or ALL. no_slice: text when there is none."""
    titles = [title_of(row.group, row.name) for row in found.scores]
    clicked = _clicked(titles)
    if clicked:
        state.select(state.SLICE, clicked)
    names = {title: _label(row) for title, row in zip(titles, found.scores, strict=True)}
    chosen = state.pick("Slice, most costly first", [ALL, *titles], name=state.SLICE, names=names)
    if not found.scores:
        st.caption(no_slice)
        return ALL
    theme.draw(
        interval_figure(found.scores[:_SHOWN]),
        key="slice_intervals",
        on_select="rerun",
        selection_mode="points",
        alt="Difference of each slice to the other pairs, with interval",
    )
    open_ones = sum(not row.difference.is_settled for row in found.scores)
    st.caption(
        f"{counted(len(found.scores), 'slice')}; {count(open_ones)} without a clear difference (grey). "
        "Slices are judged together (Holm): one such table in 20 has a false one."
    )
    with st.expander("All slices as a table"):
        _table(found.scores)
    return str(chosen)


def chosen_score(found: TaskSlices, title: str) -> SliceScore | None:
    """Return the score of the slice with this title."""
    return next((row for row in found.scores if title_of(row.group, row.name) == title), None)


def slice_summary(row: SliceScore | None, pairs: int) -> None:
    """Draw a line on the score of a slice and what it costs the task."""
    if row is None:
        st.caption(f"All {counted(pairs, 'pair')} of the task.")
        return
    found = row.difference
    st.caption(
        plain(
            f"{counted(row.pairs, 'pair')}; score {row.score * 100:.1f}, {found.value * 100:+.1f} to the rest "
            f"(95%: {found.times(100).range('+.1f')}, {found.verdict}). "
            f"If it were like the rest, the task's Spearman would change by {row.cost * 100:+.2f}."
        )
    )


def _clicked(titles: list[str]) -> str | None:
    """Return the slice just clicked in the figure; a click counts once, or the picker could not be changed."""
    drawn = st.session_state.get("slice_intervals")
    points = drawn["selection"]["points"] if drawn else []
    place = int(points[0]["y"]) if points else None
    if place == st.session_state.get("slice_clicked"):
        return None
    st.session_state["slice_clicked"] = place
    return titles[place] if place is not None and place < len(titles) else None


def _label(row: SliceScore) -> str:
    sign = f"{row.difference.value * 100:+.1f}" if row.difference.is_settled else "no clear difference"
    return f"{title_of(row.group, row.name)} ({row.pairs:,}; {sign})"


def _table(rows: list[SliceScore]) -> None:
    frame = pd.DataFrame(
        {
            "Slice": [title_of(row.group, row.name) for row in rows],
            "Kind": [row.group for row in rows],
            "Pairs": [row.pairs for row in rows],
            "Score": [100 * row.score for row in rows],
            "To the rest": [100 * row.difference.value for row in rows],
            "From": [100 * row.difference.low for row in rows],
            "To": [100 * row.difference.high for row in rows],
            "Costs": [100 * row.cost for row in rows],
            "No clear difference": [not row.difference.is_settled for row in rows],
        }
    )
    numbers = {name: st.column_config.NumberColumn(format="%+.1f") for name in ("To the rest", "From", "To")}
    st.dataframe(
        frame,
        hide_index=True,
        alt="Slices",
        column_config=numbers
        | {
            "Score": st.column_config.NumberColumn(format="%.1f"),
            "Costs": st.column_config.NumberColumn(
                format="%+.2f", help="Gain of the task if the slice were like the rest"
            ),
        },
    )
