"""A study while it runs and after: the grid of its cells, then effects, table and report."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from workbench import theme
from workbench.components.job_progress import is_live, job_card, while_live
from workbench.components.notice import empty_state
from workbench.components.train.study_figures import (
    effect_figure,
    grid_figure,
    in_words,
    score_table,
    shown_tasks,
)
from workbench.components.wording import count, percent
from workbench.jobs.kinds import StudySpec
from workbench.jobs.views import JobView
from workbench.workspace import Workspace


def study_view(workspace: Workspace, name: str) -> None:
    """Draw the study of this name; redraws itself while it runs."""
    folder = workspace.root / "studies" / name

    def newest() -> JobView[StudySpec] | None:
        return workspace.jobs.latest(StudySpec, lambda spec: spec.study == name)

    def draw() -> bool:
        job = newest()
        if job and job.state not in ("finished", "cancelled"):
            job_card(workspace, job, key="study")
        grid = _read(folder / "grid.json")
        if grid is None and not (job and is_live(job)):
            empty_state(
                "Not run yet",
                hint="Its cells appear here one by one, and after the last one what each arm was worth.",
                icon=":material/grid_on:",
            )
        if grid is not None:
            _grid(grid)
        return bool(job and is_live(job))

    job = newest()
    live = bool(job and is_live(job))
    while_live(draw, live=live)
    report = _read(folder / "report.json")
    if report is not None and not live:
        _report(report, folder)


def _grid(grid: dict[str, Any]) -> None:
    cells = pd.DataFrame(grid["cells"])
    done = int((cells["state"] == "done").sum())
    st.caption(
        f"{count(done)} of {count(len(cells))} cells done ({percent(done, len(cells))}). A cell is one arm with one "
        "seed; its figure is the mean score over the tasks, x 100."
    )
    st.plotly_chart(
        grid_figure(grid, ink=theme.text_colour()), key="study_grid", config=theme.MODEBAR, alt="Cells of the study"
    )


def _report(report: dict[str, Any], folder: Path) -> None:
    last = shown_tasks(report)[-1]
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        st.subheader("What it found", anchor=False)
        page = folder / "report.html"
        if page.exists():
            st.download_button(
                "Report as one HTML file",
                page.read_bytes(),
                file_name=f"{folder.name}.html",
                mime="text/html",
                icon=":material/download:",
                key="study_report",
            )
    effects = [*report["contrasts"], *report["against_baseline"]]
    if effects:
        st.plotly_chart(
            effect_figure(effects, last, report["baseline"]),
            key="study_effects",
            config=theme.MODEBAR,
            alt="Effect of each arm with interval",
        )
        st.caption(
            f"Differences on {in_words(last)}, x 100, with 95 % intervals: seeds and test items are resampled "
            "together, the same for every arm. Grey intervals cover zero: nothing is settled."
        )
    st.dataframe(
        score_table(report),
        hide_index=True,
        placeholder="–",
        alt="Scores of the arms",
        column_config={"Triplets": st.column_config.NumberColumn("Triplets", format="localized")},
    )
    st.caption(
        f"{report['metric']}, mean ± standard deviation over {len(report['seeds'])} seeds; {report['encoder']}."
    )


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found
