"""Hard negatives under an encoder: triplets whose hard negative is nearer than the positive, and actions on them."""

import pandas as pd
import streamlit as st

from pipeline.analysis.slices import slice_members
from pipeline.analysis.worst_pairs import Share, is_violated
from pipeline.statistics import clusters
from workbench import state, theme
from workbench.actions.analysis import CURRENT, start_margins
from workbench.components import elements
from workbench.components.elements import count, counted, empty_state, errors_shown, plain, read_table, text_columns
from workbench.components.encoder_comparison import encoder_names
from workbench.components.errors.slice_actions import triplet_actions
from workbench.components.job_progress import job_strip
from workbench.components.place_picker import place_picker
from workbench.components.slice_view import slice_picker
from workbench.jobs.kinds import MarginsSpec
from workbench.results import MarginRun, TaskSlices, latest_margins, slices_of
from workbench.workspace import Workspace

_MOST_POINTS = 20_000
_MOST_TEXTS = 3_000
"""Above this, the hover shows numbers only: three sentences per point would be megabytes for the browser."""
_WORST = 100
_ROWS = "margin_rows"
_EVERY, _VIOLATED, _INSIDE = "All", "Violated", "Inside the margin"


def margin_view(workspace: Workspace) -> None:
    """Draw pickers, slices, plane and rows; without triplets or a measurement, what to do about it."""
    if workspace.store.triplets.attempts().empty:
        empty_state(
            "No triplets yet",
            hint="This view compares positives and hard negatives of generated or imported triplets.",
            icon=":material/change_history:",
            page=elements.GENERATE,
            action="Generate triplets",
        )
        return
    names = encoder_names(workspace)
    corpora = {CURRENT: "All triplets, rejected ones left out"}
    corpora |= {snapshot.snapshot_id: snapshot.name for snapshot in workspace.store.snapshots.list()}
    on = place_picker(workspace, MarginsSpec)
    left, right, button = st.columns([3, 3, 1], vertical_alignment="bottom")
    with left:
        encoder_id = str(state.pick("Encoder", list(names), name=state.CANDIDATE, names=names))
    with right:
        corpus = str(state.pick("Triplets", list(corpora), name=state.TRIPLETS, names=corpora))
    run = latest_margins(workspace, encoder_id=encoder_id, corpus=corpus)
    label = "Measure again" if run else "Measure"
    if button.button(label, type="secondary" if run else "primary", key="measure_margins", width="stretch"):
        with errors_shown():
            start_margins(workspace, encoder=encoder_id, corpus=corpus, on=on)
            st.rerun()
    job_strip(workspace, MarginsSpec, key="measuring")
    if run is None:
        empty_state(
            "Not measured yet",
            hint="Measure the cosines of these triplets under this encoder.",
            icon=":material/change_history:",
        )
        return
    _measured(workspace, run, title=f"{corpora[corpus]}, {names[encoder_id]}")


def _measured(workspace: Workspace, run: MarginRun, *, title: str) -> None:
    triplets = read_table(run.path)
    st.caption(plain(f"{counted(len(triplets), 'triplet')}, measured {elements.ago(run.finished_at)}."))
    found = triplet_slices(str(run.path), run.path.stat().st_mtime, triplets)
    left, right = st.columns([4, 7])
    with left:
        chosen = slice_picker(found, no_slice="No slice has ten triplets inside and outside.")
    inside = triplets[found.members[chosen]] if chosen in found.members else triplets
    with right:
        margin = st.slider(
            "Margin", 0.0, 0.5, 0.1, 0.01, key="margin", help="How much higher the cosine of the positive should be."
        )
        wanted = _numbers(inside, margin)
        drawn = drawn_rows(inside)
        marked = margin_plane(drawn, margin, name=f"{run.job_id}_{chosen}")
    rows = drawn.iloc[marked] if marked else _chosen_rows(inside, wanted, margin)
    listed = _table(rows, selected=bool(marked))
    if len(listed):
        what = "selected triplets" if marked else f"{wanted.lower()}, {chosen}"
        triplet_actions(workspace, listed, origin=f"Errors: hard negatives, {what}, {title}")


@st.cache_data(max_entries=8, show_spinner="Looking for slices …")
def triplet_slices(path: str, modified: float, _triplets: pd.DataFrame) -> TaskSlices:
    """Score slices of the pairs (premise, hard negative) by the share of triplets that are not violated."""
    del path, modified
    members = slice_members(
        _triplets["premise"].tolist(),
        _triplets["hard_negative"].tolist(),
        [],
        [""] * len(_triplets),
        source=_triplets["source"].tolist(),
    )
    premises = _triplets["premise"].tolist()
    return slices_of(members, violated(_triplets, 0.0).astype(float).to_numpy(), clusters(premises, premises))


def violated(triplets: pd.DataFrame, margin: float) -> pd.Series:
    """Return which triplets lack the margin between positive and hard negative."""
    inside = is_violated(triplets["near"].to_numpy(), triplets["far"].to_numpy(), margin=margin)
    return pd.Series(inside, index=triplets.index)


def _numbers(triplets: pd.DataFrame, margin: float) -> str:
    """Draw the numbers of violated and close triplets as buttons; return the chosen one."""
    wanted = st.session_state.setdefault(_ROWS, _VIOLATED)
    wrong = violated(triplets, 0.0)
    near = violated(triplets, margin) & ~wrong
    with st.container(horizontal=True):
        for name, inside, meaning in (
            (_VIOLATED, wrong, "hard negative nearer than the positive"),
            (_INSIDE, near, f"positive nearer, by {margin:.2f} at most"),
            (_EVERY, wrong | True, "triplets of the slice"),
        ):
            share = Share.of(inside.to_numpy())
            with st.container(border=True, width=200):
                st.caption(name)
                st.button(
                    count(share.part),
                    type="primary" if name == wanted else "tertiary",
                    key=f"margin_{name}",
                    on_click=_want,
                    args=(name,),
                )
                if name == _EVERY:
                    st.caption(meaning)
                else:
                    interval = f"{share.low:.1%} to {share.high:.1%}"
                    st.caption(f"{share.part / max(1, share.whole):.1%} ({interval}): {meaning}")
    return str(wanted)


def _want(name: str) -> None:
    st.session_state[_ROWS] = name


def _chosen_rows(triplets: pd.DataFrame, wanted: str, margin: float) -> pd.DataFrame:
    if wanted == _EVERY:
        return triplets
    wrong = violated(triplets, 0.0)
    return triplets[wrong if wanted == _VIOLATED else violated(triplets, margin) & ~wrong]


def _table(rows: pd.DataFrame, *, selected: bool) -> pd.DataFrame:
    """Draw the rows, worst first; return all of them in this order."""
    sorted_rows = rows.assign(gap=rows["near"] - rows["far"]).sort_values("gap", kind="stable")
    where = "selected above" if selected else "here; select an area above to see only its triplets"
    st.caption(f"The {count(min(_WORST, len(rows)))} worst of {counted(len(rows), 'triplet')} {where}.")
    if len(rows):
        number = {"format": "%.3f", "width": "small"}
        st.dataframe(
            sorted_rows.head(_WORST)[["gap", "near", "far", "premise", "positive", "hard_negative", "source"]],
            hide_index=True,
            row_height=38,
            alt="Triplets, worst first",
            column_config={
                "gap": st.column_config.NumberColumn("Gap", format="%+.3f", width="small"),
                "near": st.column_config.NumberColumn("Positive cosine", **number),  # type: ignore[arg-type]
                "far": st.column_config.NumberColumn("Hard negative cosine", **number),  # type: ignore[arg-type]
                "source": "Source",
            }
            | text_columns(theme.ROLE_NAMES),
        )
    return sorted_rows


def drawn_rows(triplets: pd.DataFrame) -> pd.DataFrame:
    """Return all triplets; of very many, the worst and a fixed random sample of the others."""
    if len(triplets) <= _MOST_POINTS:
        return triplets
    worst = (triplets["near"] - triplets["far"]).nsmallest(_MOST_POINTS // 2).index
    rest = triplets.drop(worst).sample(_MOST_POINTS - len(worst), random_state=0)
    return pd.concat([triplets.loc[worst], rest])


def margin_figure(triplets: pd.DataFrame, margin: float) -> theme.Figure:
    """Draw both cosines of each triplet: amber on or above the diagonal, pale amber inside the margin."""
    near, far = triplets["near"].to_numpy(), triplets["far"].to_numpy()
    figure = theme.chart(
        "Positive against hard negative",
        x="cos(premise, positive)",
        y="cos(premise, hard negative)",
        height=520,
    )
    low = float(min(near.min(), far.min(), 0.0)) - 0.03
    for shift, dash, name in ((0.0, "solid", "equally near"), (margin, "dot", f"margin {margin:.2f}")):
        if shift or dash == "solid":
            figure.add_scatter(
                x=[low + shift, 1.03],
                y=[low, 1.03 - shift],
                mode="lines",
                name=name,
                line={"color": theme.INK, "width": 1.5, "dash": dash},
                hoverinfo="skip",
            )
    wrong, close = is_violated(near, far), is_violated(near, far, margin=margin)
    figure.add_scattergl(
        x=near,
        y=far,
        mode="markers",
        name="triplet",
        showlegend=False,
        marker={
            "size": 7,
            "opacity": 0.75,
            "color": [
                theme.WARNING if bad else theme.see_through(theme.WARNING, 0.35) if tight else theme.INK
                for bad, tight in zip(wrong, close, strict=True)
            ],
            "symbol": ["diamond" if bad else "circle" for bad in wrong],
        },
        text=hover_texts(triplets),
        hovertemplate="%{text}<br>positive %{x:.3f}, hard negative %{y:.3f}<extra></extra>",
    )
    figure.update_xaxes(range=[low, 1.03])
    figure.update_yaxes(range=[low, 1.03])
    return figure


def hover_texts(triplets: pd.DataFrame) -> list[str]:
    """Return the three sentences, escaped for Plotly; empty if there are too many triplets."""
    if len(triplets) > _MOST_TEXTS:
        return [""] * len(triplets)
    rows = zip(triplets["premise"], triplets["positive"], triplets["hard_negative"], strict=True)
    return [
        f"{elements.for_chart(p)}<br><b>+</b> {elements.for_chart(a)}<br><b>−</b> {elements.for_chart(b)}"
        for p, a, b in rows
    ]


def margin_plane(triplets: pd.DataFrame, margin: float, *, name: str) -> list[int]:
    """Draw the plane; return the positions of the selected triplets.

    name: identifies the set of triplets, as a selection in one set means nothing in another.
    """
    if triplets.empty:
        return []
    figure = margin_figure(triplets, margin)
    drawn = theme.draw(
        figure,
        key=f"margins_{name}",
        on_select="rerun",
        selection_mode=("points", "box", "lasso"),
        alt="Cosine with the positive against cosine with the hard negative",
    )
    if len(triplets) == _MOST_POINTS:
        st.caption(f"Drawn: {count(_MOST_POINTS)} triplets, the worst half of them and others at random.")
    last = len(figure.data) - 1
    points = [point["point_index"] for point in drawn.selection.points if point.get("curve_number") == last]
    return [place for place in points if place < len(triplets)]
