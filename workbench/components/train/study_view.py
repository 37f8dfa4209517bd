"""A study while it runs and after: the grid of its cells, then effects, table and report."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from workbench import theme
from workbench.components.elements import count, empty_state, for_chart, percent, shorten
from workbench.components.job_progress import is_live, job_card, while_live
from workbench.jobs.folder import JobView
from workbench.jobs.kinds import StudySpec
from workbench.workspace import Workspace

_GREY = "#A9B1BC"
_WAITING_SCALE = [[0.0, theme.see_through(theme.INK, 0.1)], [1.0, theme.see_through(theme.WARNING, 0.45)]]
_SCALE = [[0.0, theme.see_through(theme.HUMAN, 0.12)], [1.0, theme.see_through(theme.HUMAN, 0.55)]]


def grid_figure(grid: dict[str, Any], *, ink: str) -> go.Figure:
    """Arms down, seeds across; a done cell shows its score, a running one says so, a waiting one is grey."""
    arms, seeds = grid["arms"], grid["seeds"]
    score = np.full((len(arms), len(seeds)), np.nan)
    waiting = np.zeros(score.shape)
    text = np.full(score.shape, "", dtype=object)
    for cell in grid["cells"]:
        place = arms.index(cell["arm"]), seeds.index(cell["seed"])
        if cell["state"] == "done":
            score[place], waiting[place], text[place] = cell["score"], np.nan, f"{cell['score']:.2f}"
        elif cell["state"] == "running":
            waiting[place], text[place] = 1.0, "running"
    figure = theme.chart("Arms x seeds", x="seed", y="", height=130 + 36 * len(arms))
    shared = {"showscale": False, "xgap": 3, "ygap": 3, "hoverongaps": False}
    figure.add_heatmap(z=waiting, colorscale=_WAITING_SCALE, zmin=0, zmax=1, hoverinfo="skip", **shared)
    figure.add_heatmap(
        z=score, colorscale=_SCALE, hovertemplate="arm %{y}, seed %{x}: %{z:.2f}<extra></extra>", **shared
    )
    # Texts as annotations: a heatmap writes none into cells without a value.
    for row, column in np.ndindex(text.shape):
        figure.add_annotation(
            x=column, y=row, text=text[row, column], showarrow=False, font={"size": 14, "color": ink}
        )
    names = [for_chart(shorten(arm, 40)) for arm in arms]
    figure.update_yaxes(
        tickmode="array",
        tickvals=list(range(len(arms))),
        ticktext=names,
        range=[len(arms) - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
    )
    figure.update_xaxes(
        tickmode="array", tickvals=list(range(len(seeds))), ticktext=seeds, showgrid=False, zeroline=False
    )
    return figure


def effect_figure(effects: list[dict[str, Any]], task: str, baseline: str) -> go.Figure:
    """One interval per arm and contrast."""
    figure = theme.chart(
        f"Effect on {in_words(task)}",
        x=f"difference x 100 (arms: against {shorten(baseline, 30)})",
        y="",
        height=120 + 34 * len(effects),
    )
    for number, effect in enumerate(effects):
        found = effect["tasks"][task]
        value, low, high = found["value"], found["low"], found["high"]
        settled = low > 0 or high < 0
        colour = (theme.HUMAN if value > 0 else theme.WARNING) if settled else _GREY
        figure.add_scatter(
            x=[value],
            y=[number],
            mode="markers",
            marker={"size": 11, "color": colour},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [high - value],
                "arrayminus": [value - low],
                "color": colour,
                "thickness": 3,
            },
            hovertemplate=f"{for_chart(effect['name'], 90)}: {value:+.2f} ({low:+.2f} to {high:+.2f})<extra></extra>",
        )
    figure.add_vline(x=0, line={"color": theme.INK, "width": 1})
    names = [for_chart(shorten(effect["name"], 40)) for effect in effects]
    figure.update_yaxes(autorange="reversed", tickmode="array", tickvals=list(range(len(effects))), ticktext=names)
    figure.update_layout(showlegend=False)
    return figure


def in_words(task: str) -> str:
    """Name a task in a sentence: a task by its name, the mean over several as the average."""
    return "the average" if task == "average" else task


def score_table(report: dict[str, Any]) -> pd.DataFrame:
    """Arms x tasks as mean ± sd, with the difference to the baseline and its verdict."""
    against = {effect["name"]: effect for effect in report["against_baseline"]}
    rows = []
    for row in report["rows"]:
        tasks = shown_tasks(report)
        cells = {"Arm": row["arm"], "Triplets": row["triplets"]}
        cells |= {task: _score(row["scores"][task]) for task in tasks}
        effect = against.get(row["arm"])
        if effect:
            found = effect["tasks"][tasks[-1]]
            cells["Difference"] = f"{found['value']:+.2f} ({found['low']:+.2f} to {found['high']:+.2f})"
            settled = found["low"] > 0 or found["high"] < 0
            cells["Verdict"] = ("better" if found["value"] > 0 else "worse") if settled else "not settled"
        # What was never trained has no triplets, and its training took no time that could be told.
        cells["Training s per seed"] = None if row["triplets"] is None else f"{row['train_s']:.1f}"
        rows.append(cells)
    return pd.DataFrame(rows)


def shown_tasks(report: dict[str, Any]) -> list[str]:
    """Return the tasks, and behind several their average."""
    return [*report["items"], *(["average"] if len(report["items"]) > 1 else [])]


def _score(score: dict[str, Any]) -> str:
    return f"{score['mean']:.2f}" + ("" if score["sd"] is None else f" ± {score['sd']:.2f}")


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
