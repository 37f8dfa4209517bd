"""Any two encoders: difference per task and of the average, with paired bootstrap intervals."""

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from pipeline.evaluation.compare import Comparison, ScoredPairs, compare
from pipeline.evaluation.sts import STANDARD_TASKS
from workbench import state, theme
from workbench.components.encoder_change import same_pairs
from workbench.components.encoder_names import scored_name
from workbench.components.predictions import load_pairs, pairs_path
from workbench.components.wording import counted
from workbench.workspace import Workspace

_GREY = "#A9B1BC"


def encoder_comparison(workspace: Workspace, scores: pd.DataFrame, names: dict[str, str]) -> None:
    """Draw the choice of two encoders and their differences."""
    ids = list(dict.fromkeys(scores["encoder_id"]))
    if len(ids) < 2:
        st.caption("Evaluate a second encoder to compare two.")
        return
    titles = {key: scored_name(key, names) for key in ids}
    left, right = st.columns(2)
    with left:
        first = state.pick("From", ids, name=state.BASELINE, names=titles)
    with right:
        second = state.pick("To", [key for key in ids if key != first], name=state.COMPARED, names=titles)
    found, left_out = comparison_of(workspace, scores, str(first), str(second))
    if found.average is None:
        st.caption("These two share no task whose predictions are still in the workspace.")
        return
    st.plotly_chart(
        difference_figure(found), key="differences", config=theme.MODEBAR, alt="Difference per task with interval"
    )
    said = "is settled" if found.average.is_settled else "says nothing"
    st.caption(
        f"Average over {counted(len(found.tasks), 'task')}: {100 * found.average.value:+.2f} "
        f"({100 * found.average.low:+.2f} to {100 * found.average.high:+.2f}), which {said}. Pairs are "
        "resampled, the same for both encoders; grey intervals cover zero. What another seed of the same training "
        "would change is not in them."
        + (f" Left out, as the evaluations saw different pairs: {', '.join(left_out)}." if left_out else "")
    )


def comparison_of(
    workspace: Workspace, scores: pd.DataFrame, first: str, second: str
) -> tuple[Comparison, list[str]]:
    """Return the differences of two scored encoders, second less first, and the tasks that cannot be compared."""
    wide = scores.pivot(index="task", columns="encoder_id", values="job_id")
    jobs = wide.reindex(columns=[first, second]).dropna()
    order = [task for task in STANDARD_TASKS if task in jobs.index] + sorted(set(jobs.index) - set(STANDARD_TASKS))
    files = tuple(
        (task, *(_stamp(workspace, str(jobs.loc[task, key]), task) for key in (first, second))) for task in order
    )
    return _compared(files, workspace)


def difference_figure(found: Comparison) -> go.Figure:
    """Interval per task and of the average, Spearman x 100."""
    rows = [("Average", found.average), *found.tasks.items()]
    figure = theme.chart("Difference in Spearman x 100", x="second less first", y="", height=110 + 34 * len(rows))
    for name, row in rows:
        if row is None:
            continue
        colour = _GREY if not row.is_settled else theme.HUMAN if row.value > 0 else theme.WARNING
        figure.add_trace(
            go.Scatter(
                x=[100 * row.value],
                y=[name],
                mode="markers",
                marker={"size": 11, "color": colour, "symbol": "diamond" if name == "Average" else "circle"},
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": [100 * (row.high - row.value)],
                    "arrayminus": [100 * (row.value - row.low)],
                    "color": colour,
                    "thickness": 3,
                },
                hovertemplate=f"{100 * row.value:+.2f} ({100 * row.low:+.2f}, {100 * row.high:+.2f})<extra></extra>",
            )
        )
    figure.add_vline(x=0, line={"color": theme.INK, "width": 1})
    figure.update_yaxes(autorange="reversed")
    figure.update_layout(showlegend=False)
    return figure


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
        tasks[task] = ScoredPairs(
            *(frame.to_numpy() for frame in (first["gold"], first["predicted"], second["predicted"]))
        )
    return compare(tasks, seed=0), left_out
