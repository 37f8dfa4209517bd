"""Encoders and their pairs: names, predictions, and two encoders compared with paired bootstrap intervals."""

from pathlib import Path, PurePath

import numpy as np
import pandas as pd
import streamlit as st

from pipeline.analysis.slices import SliceChange, rank_losses, slice_changes
from pipeline.evaluation.metrics import Comparison, ScoredPairs, compare
from pipeline.evaluation.sts import STANDARD_TASKS
from pipeline.statistics import Interval
from pipeline.weights import BUILT_IN_ENCODERS
from workbench import state, theme
from workbench.components.elements import counted, empty_state, for_chart, plain, read_table, spearman
from workbench.components.slice_view import ALL
from workbench.results import linked_pairs, members_of, same_pairs, title_of
from workbench.store.files import PairSlice
from workbench.workspace import Workspace

ERROR_SCALE = [[0.0, "#A38A00"], [0.5, theme.GREY], [1.0, "#6A63D6"]]
"""Olive: predicted too low; indigo: too high; grey: the ranks agree. None of them is the colour of a role."""
GONE = "The predictions behind this score are no longer in the workspace: evaluate again to see them."
_SHOWN = 12
_PAIRS = 25


@st.cache_data(max_entries=8, show_spinner="Comparing …")
def changes(
    key: tuple[str, float, str, float], _before: pd.DataFrame, _after: pd.DataFrame, saved: tuple[PairSlice, ...] = ()
) -> tuple[list[SliceChange], dict[str, np.ndarray]]:
    """Return changes and members of every slice; cached by both files, their times and the saved slices."""
    del key
    gold = _before["gold"].to_numpy()
    losses = [rank_losses(frame["predicted"].to_numpy(), gold) for frame in (_before, _after)]
    members = members_of(_before, saved)
    found = slice_changes(members, *losses, linked=linked_pairs(_before), seed=0)
    return found, {title_of(*name): inside for name, inside in members.items()}


@st.cache_data(max_entries=16, show_spinner="Resampling the pairs …")
def difference(key: tuple[str, float, str, float], _before: pd.DataFrame, _after: pd.DataFrame) -> Interval:
    """Return the difference in Spearman, after minus before, with its paired bootstrap interval."""
    del key
    found = compare({"task": scored_pairs(_before, _after)}, seed=0).average
    return found or Interval(float("nan"), float("nan"), float("nan"))


def scored_pairs(first: pd.DataFrame, second: pd.DataFrame) -> ScoredPairs:
    """Return what two encoders predict for the same pairs."""
    gold, one, other = (frame.to_numpy() for frame in (first["gold"], first["predicted"], second["predicted"]))
    return ScoredPairs(gold, one, other, linked_pairs(first))


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
            theme.draw(slope_figure(rows[:_SHOWN], names), key="slopes", alt="Score per slice, two encoders")
    with table:
        _moved(before, after, None if chosen == ALL else members.get(chosen))


def slope_figure(rows: list[SliceChange], names: tuple[str, str]) -> theme.Figure:
    """Draw a line per slice from the first encoder's score to the second's; grey without a clear difference."""
    figure = theme.chart("Score per slice", x="", y="score x 100", height=460)
    for row in rows:
        colour = theme.change_colour(row.change)
        title = title_of(row.group, row.name)
        figure.add_scatter(
            x=[0, 1],
            y=[100 * row.before, 100 * row.after],
            mode="lines+markers",
            line={"color": colour, "width": 2},
            name=for_chart(title),
            hovertemplate=f"{for_chart(title)} ({row.pairs:,} pairs)<br>%{{y:.1f}}, "
            f"{row.change.times(100).words()}<extra></extra>",
        )
    figure.update_xaxes(tickvals=[0, 1], ticktext=[for_chart(name[:24]) for name in names], range=[-0.15, 1.15])
    figure.update_layout(showlegend=False)
    return figure


def moved_pairs(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs by how much the second encoder reduces their rank error, most improved first."""
    frame = before[["sentence1", "sentence2", "gold"]].copy()
    frame["change"] = before["error"].abs() - after["error"].abs()
    frame["before"], frame["after"] = before["error"], after["error"]
    return frame.sort_values("change", ascending=False, kind="stable")


def _moved(before: pd.DataFrame, after: pd.DataFrame, mask: object) -> None:
    moved = moved_pairs(before, after)
    if mask is not None:
        moved = moved[pd.Series(mask, index=before.index).loc[moved.index]]
    better, worse = st.tabs(["Most improved", "Most worsened"])
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
    note = "" if change.is_settled else f", {change.verdict}"
    interval = f"95%: {change.times(100).range()}{note}"
    st.metric(label, f"{100 * change.value:+.2f}", delta=interval, delta_color="off", delta_arrow="off")


def encoder_names(workspace: Workspace) -> dict[str, str]:
    """Return id -> name of all encoders: trained ones, newest first, then the built-in ones."""
    names = {encoder.encoder_id: encoder.name for encoder in workspace.store.encoders.list()}
    return names | {name: name for name in BUILT_IN_ENCODERS if name not in names}


def scored_name(encoder_id: str, names: dict[str, str]) -> str:
    """Return the name of a scored encoder; one that is only a folder is called by the folder's name."""
    return names.get(encoder_id) or PurePath(encoder_id).name or encoder_id


def pairs_path(workspace: Workspace, job_id: str, task: str) -> Path:
    """Return the file of pairs that an evaluation wrote for a task."""
    return workspace.jobs.output(job_id, f"pairs-{task}.parquet")


def load_pairs(workspace: Workspace, job_id: str, task: str) -> pd.DataFrame | None:
    """Return sentence1, sentence2, subset, gold, predicted and error of a task's pairs; None without their file.

    The error is the predicted rank minus the gold rank, both as a share of all pairs.
    """
    path = pairs_path(workspace, job_id, task)
    if not path.exists():
        return None
    pairs = read_table(path)
    return pairs.assign(error=pairs["predicted"].rank(pct=True) - pairs["gold"].rank(pct=True))


def gold_figure(pairs: pd.DataFrame, title: str) -> theme.Figure:
    """Draw predicted cosine over gold score, a point per pair, coloured by rank error."""
    figure = theme.chart(title, x="gold score given by people", y="predicted cosine", height=460)
    colorbar = {"title": {"text": "rank<br>error"}, "thickness": 12, "tickvals": [-1, 0, 1]}
    add_pairs(figure, pairs, "predicted")
    return figure.update_traces(marker_colorbar=colorbar)


def add_pairs(figure: theme.Figure, pairs: pd.DataFrame, height: str) -> None:
    """Add a point per pair at its gold score and the column `height`, coloured by the signed rank error."""
    figure.add_scattergl(
        x=pairs["gold"],
        y=pairs[height],
        mode="markers",
        marker={"size": 6, "opacity": 0.7, "color": pairs["error"], "cmin": -1, "cmax": 1, "colorscale": ERROR_SCALE},
        text=hover_texts(pairs),
        hovertemplate="%{text}<extra></extra>",
    )


def hover_texts(pairs: pd.DataFrame) -> list[str]:
    """Return both sentences, gold and cosine of each pair, escaped for Plotly."""
    return [
        f"{for_chart(row.sentence1)}<br><br>{for_chart(row.sentence2)}<br><br>"
        f"gold {row.gold:.2f}, cosine {row.predicted:.3f}"
        for row in pairs.itertuples()
    ]


def gold_scatter(workspace: Workspace, scores: pd.DataFrame, encoder_id: str, task: str, name: str) -> None:
    """Draw the scatter behind one cell of the matrix."""
    cell = scores[(scores["encoder_id"] == encoder_id) & (scores["task"] == task)].iloc[0]
    pairs = load_pairs(workspace, cell["job_id"], task)
    st.subheader(f"{plain(task)}: {spearman(cell['spearman'])}", anchor=False)
    if pairs is None:
        st.caption(GONE)
        return
    figure = gold_figure(pairs, f"{counted(len(pairs), 'pair')}, {plain(name)}")
    theme.draw(figure, key="gold_scatter", alt=f"Gold against predicted, {task}")


def encoder_comparison(
    workspace: Workspace, scores: pd.DataFrame, names: dict[str, str], arms: dict[str, list[str]]
) -> None:
    """Draw the choice of two encoders, at first the base of the best and the best, and their differences.

    arms: the scored encoders, best first, by arm.
    """
    ids = [encoder_id for members in arms.values() for encoder_id in members]
    if len(ids) < 2:
        empty_state(
            "Only one encoder has scores",
            hint="Evaluate a second one above to see their difference on every task, with intervals.",
            icon=":material/compare_arrows:",
        )
        return
    titles = {key: scored_name(key, names) for key in ids}
    left, right = st.columns(2)
    with left:
        base = _base_of(workspace, ids[0], arms)
        first = state.pick("From", ids, name=state.BASELINE, names=titles, first=base)
    with right:
        second = state.pick("To", [key for key in ids if key != first], name=state.COMPARED, names=titles)
    found, left_out = comparison_of(workspace, scores, str(first), str(second))
    if found.average is None:
        st.caption("These two have no task in common whose predictions are still in the workspace.")
        return
    theme.draw(difference_figure(found), key="differences", alt="Difference per task with interval")
    verdict = found.average.verdict
    if any({first, second} <= set(members) for members in arms.values()):
        verdict = "between two seeds of one arm, which tells chance and not what a setting is worth"
    st.caption(
        f"Average over {counted(len(found.tasks), 'task')}: {found.average.times(100).words()}, {verdict}. "
        "Intervals come from resampling groups of pairs that share sentences, the same for both encoders; a grey one "
        "is no clear difference, the tasks being judged together (Holm). They are about these two encoders, not "
        "about another training seed or another corpus."
        + (
            f" Left out, because the pairs differ or are missing: {', '.join(map(plain, left_out))}."
            if left_out
            else ""
        )
    )


def _base_of(workspace: Workspace, encoder_id: str, arms: dict[str, list[str]]) -> str:
    """Return the encoder that this one was trained from if it has scores, else one of another arm."""
    base = next((one.base for one in workspace.store.encoders.list() if one.encoder_id == encoder_id), None)
    others = [one for members in arms.values() for one in members if encoder_id not in members]
    return base if base in others else next(iter(others), "")


def comparison_of(
    workspace: Workspace, scores: pd.DataFrame, first: str, second: str
) -> tuple[Comparison, list[str]]:
    """Return the differences of two scored encoders, second minus first, and the tasks left out."""
    wide = scores.pivot(index="task", columns="encoder_id", values="job_id")
    jobs = wide.reindex(columns=[first, second]).dropna()
    order = [task for task in STANDARD_TASKS if task in jobs.index] + sorted(set(jobs.index) - set(STANDARD_TASKS))
    files = tuple(
        (task, *(_stamp(workspace, str(jobs.loc[task, key]), task) for key in (first, second))) for task in order
    )
    return _compared(files, workspace)


def difference_figure(found: Comparison) -> theme.Figure:
    """Draw the difference of the average and of each task, Spearman x 100, with intervals."""
    rows = [("Average", found.average), *found.tasks.items()]
    shown = [(for_chart(name), change.times(100)) for name, change in rows if change is not None]
    return theme.interval_chart("Difference in Spearman x 100", x="second minus first", rows=shown)


def _stamp(workspace: Workspace, job_id: str, task: str) -> tuple[str, float]:
    path = pairs_path(workspace, job_id, task)
    return job_id, path.stat().st_mtime if path.exists() else 0.0


@st.cache_data(max_entries=8, show_spinner="Resampling the pairs of each task …")
def _compared(files: tuple, _workspace: Workspace) -> tuple[Comparison, list[str]]:
    tasks: dict[str, ScoredPairs] = {}
    left_out = []
    for task, (first_job, _), (second_job, _) in files:
        first, second = (load_pairs(_workspace, job, task) for job in (first_job, second_job))
        if first is None or second is None or not same_pairs(first, second):
            left_out.append(task)
            continue
        tasks[task] = scored_pairs(first, second)
    return compare(tasks, seed=0), left_out
