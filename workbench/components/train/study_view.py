"""A study: the choice of one with its plan and start, the grid of its cells, then effects, scores and report."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from pipeline.records import InputError
from pipeline.statistics import Interval
from pipeline.studies.spec import Study, curation_text, hub_names, mask_text, source_text
from pipeline.studies.spec_file import read_study
from workbench import state, theme
from workbench.actions.training import keep_study_file, start_study, study_files
from workbench.components.elements import (
    count,
    counted,
    empty_state,
    errors_shown,
    for_chart,
    percent,
    plain,
    read_json,
    shorten,
)
from workbench.components.job_progress import follow, is_live, job_card
from workbench.jobs.folder import JobView
from workbench.jobs.kinds import StudySpec
from workbench.paths import SAMPLE_CORPUS
from workbench.study_runs import SHIPPED, study_command
from workbench.workspace import Workspace

_FIRST = "stages"
"""Listed first, as it needs no LLM, GPU or download."""
_STS_HELP = "Folder with STS tasks; without it, arms are scored on held-out triplets."
_WAITING_SCALE = [[0.0, theme.see_through(theme.INK, 0.1)], [1.0, theme.see_through(theme.WARNING, 0.45)]]
_SCALE = [[0.0, theme.see_through(theme.HUMAN, 0.12)], [1.0, theme.see_through(theme.HUMAN, 0.55)]]


@dataclass(frozen=True, slots=True)
class ChosenStudy:
    """A study file and its study, or the problem that makes the file unusable."""

    path: Path
    study: Study | None
    problem: str = ""


def known_studies(workspace: Workspace) -> dict[str, Path]:
    """Return name -> file of every study: those of the workspace, then the shipped ones."""
    found: dict[str, Path] = {}
    for grid in sorted((workspace.root / "studies").glob("*/grid.json")):
        file = Path(str((read_json(grid) or {}).get("file") or ""))
        if file.is_file():
            found[grid.parent.name] = file
    found |= {path.stem: path for path in sorted(study_files(workspace).glob("*.yaml"))}
    shipped = sorted(SHIPPED.glob("*.yaml"), key=lambda path: (path.stem != _FIRST, path.stem))
    return found | {path.stem: path for path in shipped}


def study_choice(workspace: Workspace) -> ChosenStudy | None:
    """Draw the choice, the plan of the chosen study, and its start."""
    known = known_studies(workspace)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        with st.container(width=460):  # a phone puts the button below, where the name would be cut
            name = state.pick("Study", list(known), name=state.STUDY, names=_titles(known))
        with st.popover("Add a study file", icon=":material/add:"):
            _add(workspace)
    if name is None:
        return None
    sts_dir = state.folder_input("STS folder (optional)", name=state.STS_FOLDER, help=_STS_HELP)
    chosen = _read(known[name], sts_dir)
    if chosen.study is None:
        st.error(plain(chosen.problem), icon=":material/error:")
        return chosen
    _plan(chosen.study)
    _start(workspace, chosen, sts_dir)
    return chosen


def _read(path: Path, sts_dir: str = "") -> ChosenStudy:
    try:
        folder = Path(sts_dir).expanduser() if sts_dir else None
        return ChosenStudy(path, read_study(path, sample=SAMPLE_CORPUS, sts_dir=folder))
    except InputError as error:
        return ChosenStudy(path, None, str(error))


def _titles(known: dict[str, Path]) -> dict[str, str]:
    found = {name: _read(path).study for name, path in known.items()}
    return {name: f"{study.title} ({name})" for name, study in found.items() if study}


def _add(workspace: Workspace) -> None:
    upload = st.file_uploader(
        "Study file", type=["yaml", "yml"], key="study_upload", help="Use absolute paths, or `sample`."
    )
    st.caption("Arms, seeds and settings in YAML; docs/studies.md describes every field.")
    if upload is not None and st.button("Add", type="primary", key="study_add"):
        with errors_shown():
            kept = keep_study_file(workspace, upload.getvalue())
            state.select(state.STUDY, kept.stem)
            st.rerun()


def _plan(study: Study) -> None:
    if study.about:
        st.caption(plain(study.about))
    halves = f" and {counted(study.halves, 'half', 'halves')} of the corpus" if study.halves else ""
    where = "STS tasks" if study.evaluation.sts_dir else "held-out triplets"
    st.markdown(
        f"**{counted(len(study.arms), 'arm')} x {counted(len(study.seeds), 'seed')}{halves} = "
        f"{counted(study.runs, 'run')}** of "
        f"{count(study.steps)} steps each, scored on {where}; baseline: {plain(study.baseline)}."
    )
    with st.expander("Arms"):
        rows = [
            (arm.name, source_text(arm), curation_text(arm), mask_text(arm), arm.train.encoder, arm.train.batch_size)
            for arm in study.arms
        ]
        st.dataframe(
            pd.DataFrame(rows, columns=["Arm", "Triplets", "Curation", "Mask", "Encoder", "Batch"]),
            hide_index=True,
            alt="Arms of the study",
        )


def _start(workspace: Workspace, chosen: ChosenStudy, sts_dir: str) -> None:
    from_hub = hub_names(chosen.study) if chosen.study else []
    download = False
    if from_hub:
        st.caption(plain(f"Needs from the Hub: {', '.join(from_hub)}. A GPU is recommended."))
        download = st.toggle("Download them from the Hub", key=f"study_download_{chosen.path}")
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Run the study", type="primary", icon=":material/play_arrow:", key="study_run"):
            with errors_shown():
                start_study(workspace, file=str(chosen.path), sts_dir=sts_dir or None, download=download)
                st.rerun()
        with st.popover("Without a browser", icon=":material/terminal:"):
            command = study_command(chosen.path, sts_dir or None) + (" --download" if download else "")
            st.code(command, language="bash", wrap_lines=True)
    st.caption("Cells that an earlier run has finished are kept.")


def study_view(workspace: Workspace, name: str) -> None:
    """Draw the study of this name; redraws itself while it runs."""
    folder = workspace.root / "studies" / name

    def newest() -> JobView[StudySpec] | None:
        return workspace.jobs.latest(StudySpec, lambda spec: spec.study == name)

    def draw(job: JobView[StudySpec] | None) -> None:
        if job and job.state != "finished":
            job_card(workspace, job, key="study")
        grid = read_json(folder / "grid.json")
        if grid is None and not is_live(job):
            empty_state(
                "Not run yet",
                hint="Cells appear here one by one; after the last, the effect of each arm.",
                icon=":material/grid_on:",
            )
        if grid is not None:
            _grid(grid if job is None or is_live(job) else stopped(grid))

    follow(newest, draw)
    report = read_json(folder / "report.json")
    if report is not None and not is_live(newest()):
        _report(report, folder)


def stopped(grid: dict[str, Any]) -> dict[str, Any]:
    """Return the grid of a study whose job has ended: the cell it was at waits again."""
    cells = [cell if cell["state"] == "done" else cell | {"state": "waiting"} for cell in grid["cells"]]
    return grid | {"cells": cells}


def _grid(grid: dict[str, Any]) -> None:
    cells = pd.DataFrame(grid["cells"])
    done = int((cells["state"] == "done").sum())
    st.caption(
        f"{count(done)} of {count(len(cells))} cells done ({percent(done, len(cells))}). A cell is one arm with one "
        "seed and shows the mean score over the tasks, x 100."
    )
    theme.draw(grid_figure(grid, ink=theme.text_colour()), key="study_grid", alt="Cells of the study")


def newest_report(workspace: Workspace) -> dict[str, Any] | None:
    """Return the report of the study that ended last, None without one."""
    found = sorted((workspace.root / "studies").glob("*/report.json"), key=lambda path: path.stat().st_mtime)
    report: dict[str, Any] | None = read_json(found[-1]) if found else None
    return report


def effects_view(report: dict[str, Any], *, key: str) -> None:
    """Draw what each stage or arm of a study was worth, with intervals; nothing if it compared none."""
    last, effects = shown_tasks(report)[-1], [*report["contrasts"], *report["against_baseline"]]
    if not effects:
        return
    figure = effect_figure(effects, last, report["baseline"])
    theme.draw(figure, key=key, alt="Effect of each arm with interval")
    st.caption(
        f"Differences on {plain(task_words(last))}, x 100, with 95 % intervals over {sources(report)}. "
        "Grey: no clear difference, all arms being judged together (Holm)."
    )


def _report(report: dict[str, Any], folder: Path) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        st.subheader("Results", anchor=False)
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
    effects_view(report, key="study_effects")
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


def grid_figure(grid: dict[str, Any], *, ink: str) -> theme.Figure:
    """Draw arms down and seeds across: a score where done, "running", or grey while waiting."""
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
    # As annotations, because a heatmap shows no text in cells without a value.
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


def effect_figure(effects: list[dict[str, Any]], task: str, baseline: str) -> theme.Figure:
    """Draw an interval per arm and contrast."""
    rows = [(for_chart(shorten(effect["name"], 40)), effect_of(effect, task)) for effect in effects]
    x = f"difference x 100 (arms: to {for_chart(shorten(baseline, 30))})"
    return theme.interval_chart(f"Effect on {plain(task_words(task))}", x=x, rows=rows)


def effect_of(effect: dict[str, Any], task: str) -> Interval:
    """Return an effect on a task; reports of earlier versions have no p."""
    found = effect["tasks"][task]
    return Interval(*(found.get(name, float("nan")) for name in ("value", "low", "high", "p")))


def sources(report: dict[str, Any]) -> str:
    """Return what a report's intervals cover; reports of earlier versions have no halves."""
    halves = " and random halves of the corpus" if report.get("halves") else ", not over another corpus"
    return f"groups of test items that share sentences, seeds{halves}"


def task_words(task: str) -> str:
    """Return a task as it is called in a sentence."""
    return "the average" if task == "average" else task


def score_table(report: dict[str, Any]) -> pd.DataFrame:
    """Return arms x tasks as mean ± sd, with the difference to the baseline and a verdict."""
    against = {effect["name"]: effect for effect in report["against_baseline"]}
    rows, tasks = [], shown_tasks(report)
    for row in report["rows"]:
        cells = {"Arm": row["arm"], "Triplets": row["triplets"]}
        cells |= {task: _score(row["scores"][task]) for task in tasks}
        effect = against.get(row["arm"])
        if effect:
            found = effect_of(effect, tasks[-1])
            cells["Difference"] = found.words()
            cells["Verdict"] = found.verdict
        # An untrained arm has neither triplets nor a training time.
        cells["Training s per seed"] = None if row["triplets"] is None else f"{row['train_s']:.1f}"
        rows.append(cells)
    return pd.DataFrame(rows)


def shown_tasks(report: dict[str, Any]) -> list[str]:
    """Return the tasks, followed by their average if there are several."""
    return [*report["items"], *(["average"] if len(report["items"]) > 1 else [])]


def _score(score: dict[str, Any]) -> str:
    return f"{score['mean']:.2f}" + ("" if score["sd"] is None else f" ± {score['sd']:.2f}")
