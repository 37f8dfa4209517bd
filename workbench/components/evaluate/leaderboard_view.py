"""Scores of all encoders: the matrix by task, the leaderboard with published results, and measures of the space."""

import json
import logging
from collections.abc import Collection
from dataclasses import replace
from typing import Any, Final

import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler
from plotly.subplots import make_subplots

from pipeline.evaluation import leaderboard
from pipeline.evaluation.leaderboard import PUBLISHED, Entry
from pipeline.evaluation.sts import STANDARD_TASKS
from pipeline.statistics import AVERAGE
from pipeline.studies.cells import STS_METRIC
from workbench import state, theme
from workbench.components.elements import counted, empty_state, for_chart, read_json, shorten
from workbench.components.encoder_comparison import scored_name
from workbench.workspace import Workspace

MEAN, COVERED = "Mean", "Tasks"
_log = logging.getLogger(__name__)
MEASURES: Final = {
    "alignment": ("Alignment", "mean squared distance of pairs that people rate as similar; lower is closer"),
    "uniformity": ("Uniformity", "log of the mean Gaussian potential of sentence pairs; lower is more even"),
    "anisotropy": ("Anisotropy", "mean cosine of different sentences; 0 is even"),
    "hubness": ("Hubness", "skew of how often a sentence is a near neighbour; 0 is none"),
    "effective_rank": ("Effective rank", "how many directions the space uses"),
}
_BEST = f"font-weight: 700; background-color: {theme.see_through(theme.POSITIVE, 0.22)}"
_EXPORTS = {
    "Markdown": (leaderboard.as_markdown, "leaderboard.md", "text/markdown"),
    "LaTeX": (leaderboard.as_latex, "leaderboard.tex", "text/x-tex"),
    "CSV": (leaderboard.as_csv, "leaderboard.csv", "text/csv"),
}
NOTE = (
    "Spearman x 100 over all pairs of a task. Marked means are the best here and those not clearly behind it; arms "
    "of a study are marked among themselves and give the mean of their seeds. "
    "SICK-R has its 4,927 test pairs, as in published tables; mteb's adds train and trial (9,927 pairs) and is not "
    "comparable: rows of mteb have six tasks and their own mean. Grey rows are published results, checked at their "
    "source, with the labels of sentence pairs that the encoder saw; rows without numbers could not be verified."
)


def entries_of(scores: pd.DataFrame, names: dict[str, str], tied: Collection[str] = ()) -> list[Entry]:
    """Return the workspace's encoders by number of tasks, as other means are not comparable, then by mean.

    tied: ids of the encoders whose mean is the best or not clearly behind it.
    """
    by_encoder = [
        leaderboard.measured(
            scored_name(str(key), names),
            dict(zip(group["task"], group["spearman"], strict=True)),
            is_tied=str(key) in tied,
        )
        for key, group in scores.groupby("encoder_id")
    ]
    return sorted(by_encoder, key=lambda row: (-row.averaged_over, -(row.average or 0)))


def arms_of_studies(workspace: Workspace) -> list[Entry]:
    """Return the arms of the studies that compared STS tasks, study by study, best first; seeds are averaged."""
    found = []
    for path in sorted((workspace.root / "studies").glob("*/report.json")):
        report = read_json(path)
        try:
            if report is not None and report["metric"] == STS_METRIC:
                study = f"study {path.parent.name}, {counted(len(report['seeds']), 'seed')}"
                rows = [_arm(row, list(report["items"]), study, report.get("tied", ())) for row in report["rows"]]
                found += sorted(rows, key=lambda row: -(row.average or 0))
        except (KeyError, TypeError, AttributeError) as error:
            _log.warning("%s is no report of this version and stays out of the leaderboard: %r", path, error)
    return found


def _arm(row: dict[str, Any], tasks: list[str], study: str, tied: Collection[str]) -> Entry:
    means = {task: score["mean"] for task, score in row["scores"].items()}
    found = leaderboard.measured(
        row["arm"], {task: means[task] / 100 for task in tasks}, study=study, is_tied=row["arm"] in tied
    )
    # The report's own, which is not the mean of rounded scores: one arm has one average on all pages.
    return replace(found, average=round(means[AVERAGE], 2)) if AVERAGE in means else found


def leaderboard_view(
    workspace: Workspace, scores: pd.DataFrame, names: dict[str, str], tied: Collection[str]
) -> None:
    """Draw the leaderboard and its export for a paper; tied: see `entries_of`."""
    own = entries_of(scores, names, tied) + arms_of_studies(workspace)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        with_published = st.toggle("With published results", value=True, key="with_published")
        chosen = st.selectbox("Format", list(_EXPORTS), key="export_format", width=160)
        rows = own + ([leaderboard.published(row) for row in PUBLISHED] if with_published else [])
        write, filename, mime = _EXPORTS[chosen]
        st.download_button("Export", write(rows), filename, mime, icon=":material/download:", on_click="ignore")
    st.dataframe(
        leaderboard_style(rows),
        hide_index=True,
        placeholder="–",
        alt="Leaderboard",
        row_height=34,
        height=34 * (len(rows) + 1) + 6,
        column_config={"Encoder": st.column_config.TextColumn(width=240, pinned=True)},
    )
    st.caption(NOTE)


def leaderboard_style(rows: list[Entry]) -> Styler:
    """Style the rows: published ones grey, the workspace's means marked that are tied with the best."""
    tasks = leaderboard.columns(rows)
    frame = pd.DataFrame(
        [
            {"Encoder": row.name, "Average": row.average, "Tasks": row.averaged_over or None}
            | {task: row.scores.get(task) for task in tasks}
            | {"Source": row.origin or "measured here"}
            for row in rows
        ]
    )
    numbers = ["Average", *tasks]
    frame[numbers] = frame[numbers].astype(float)
    style = frame.style.format(dict.fromkeys(numbers, "{:.2f}") | {"Tasks": "{:.0f}"}, na_rep="–")
    theirs = frame.index[[bool(row.source) for row in rows]]
    grey = f"color: {theme.quiet_colour()}; font-style: italic"
    style = style.map(lambda _: grey, subset=pd.IndexSlice[theirs, :])
    tied = frame.index[[row.is_tied for row in rows]]
    return style.map(lambda _: _BEST, subset=pd.IndexSlice[tied, ["Average"]])


@st.cache_data(max_entries=16, show_spinner=False)
def matrix_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Turn (encoder_id, task, spearman) into one row per encoder: mean, tasks covered, then the tasks, x 100.

    A missing score stays missing. The mean is over the tasks that are compared (`compared_tasks`), for encoders that
    have them all; the second column is the number of tasks with a score.
    """
    wide = scores.pivot(index="encoder_id", columns="task", values="spearman") * 100
    order = [task for task in STANDARD_TASKS if task in wide] + sorted(set(wide) - set(STANDARD_TASKS))
    wide = wide[order]
    wide.insert(0, MEAN, wide[tasks_of_the_mean(scores)].mean(axis=1, skipna=False))
    wide.insert(1, COVERED, wide[order].notna().sum(axis=1))
    return wide.sort_values([MEAN, COVERED], ascending=False, na_position="last")


def tasks_of_the_mean(scores: pd.DataFrame) -> list[str]:
    """Return the tasks that the means of these scores (encoder_id, task) cover."""
    return leaderboard.compared_tasks({str(key): set(group["task"]) for key, group in scores.groupby("encoder_id")})


def marked(table: pd.DataFrame) -> Styler:
    """Style the matrix: the best of each column marked, where there is a choice."""
    numbers = [column for column in table if column != COVERED]
    style = table.style.format(dict.fromkeys(numbers, "{:.2f}") | {COVERED: "{:.0f}"})
    for column in numbers:
        if table[column].notna().sum() > 1:
            style = style.map(lambda _: _BEST, subset=pd.IndexSlice[[table[column].idxmax()], [column]])
    return style


def score_matrix(scores: pd.DataFrame, names: dict[str, str]) -> tuple[str, str] | None:
    """Draw the matrix; return encoder and task of the selected cell."""
    table = matrix_table(scores)
    shown = table.set_axis(state.numbered([scored_name(str(key), names) for key in table.index]), axis="index")
    shown.index.name = "Encoder"
    event = st.dataframe(
        marked(shown),
        key="score_matrix",
        on_select="rerun",
        selection_mode="single-cell",
        placeholder="–",
        alt="Spearman by encoder and task",
        column_config={"Encoder": st.column_config.TextColumn(width=240)},
    )
    if not event.selection.cells:
        return None
    row, column = event.selection.cells[0]
    return (str(table.index[row]), column) if column in table.columns and column not in (MEAN, COVERED) else None


def space_view(workspace: Workspace, names: dict[str, str]) -> None:
    """Draw the measures of every encoder evaluated on a folder."""
    rows = measured_spaces(workspace)
    if not rows:
        empty_state(
            "No space measured yet",
            hint="Evaluating an encoder on a folder above measures how evenly its vectors fill their space as well.",
            icon=":material/blur_on:",
        )
        return
    frame = pd.DataFrame(rows)
    frame["name"] = [scored_name(str(key), names) for key in frame["encoder_id"]]
    theme.draw(space_figure(frame), key="space", alt="Measures of each encoder's space")
    st.caption("  \n".join(f"**{title}**: {meaning}." for title, meaning in MEASURES.values()))
    sentences = ", ".join(f"{int(number):,}" for number in sorted(set(frame["sentences"])))
    st.caption(
        f"Measured on {sentences} sentences of the evaluated tasks. The measures do not rank encoders: an even space "
        "can order pairs badly, and a clustered one well."
    )


def measured_spaces(workspace: Workspace) -> list[dict[str, Any]]:
    """Return the latest measures of each encoder."""
    latest: dict[str, dict[str, Any]] = {}
    for job in reversed(workspace.jobs.list()):
        path = workspace.jobs.output(job.job_id, "space.json")
        if path.exists():
            record = json.loads(path.read_bytes())
            latest[record["encoder_id"]] = record
    return list(latest.values())


def space_figure(frame: pd.DataFrame) -> theme.Figure:
    """Draw a small chart per measure, with a row per encoder."""
    titles = [title for title, _ in MEASURES.values()]
    figure = make_subplots(cols=len(MEASURES), shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.03)
    for column, (measure, (_, meaning)) in enumerate(MEASURES.items(), start=1):
        figure.add_scatter(
            x=frame[measure],
            y=list(range(len(frame))),
            mode="markers",
            marker={"color": theme.HUMAN, "size": 11},
            customdata=[for_chart(name) for name in frame["name"]],
            hovertemplate=f"%{{customdata}}: %{{x:.3f}}<br>{meaning}<extra></extra>",
            row=1,
            col=column,
        )
    labels = [for_chart(shorten(name, 44), 26) for name in frame["name"]]
    figure.update_yaxes(autorange="reversed", tickvals=list(range(len(frame))), ticktext=labels, automargin=True)
    figure.update_xaxes(nticks=4, tickangle=0)
    return theme.bare(figure, height=110 + 44 * len(frame), top=56).update_layout(showlegend=False)
