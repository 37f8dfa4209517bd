"""Home: the five stages with their counts, the best encoder, and the jobs with their history."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from workbench import state, theme
from workbench.actions.jobs import overview
from workbench.actions.models import delete_vectors, delete_weights, weight_files
from workbench.components import elements
from workbench.components.elements import ago, count, counted, duration, errors_shown, plain, spearman
from workbench.components.encoder_comparison import encoder_names, scored_name
from workbench.components.evaluate.arms_view import arms_view
from workbench.components.evaluate.leaderboard_view import tasks_of_the_mean
from workbench.components.job_progress import is_live, job_card, while_live
from workbench.components.train.study_view import effects_view, newest_report
from workbench.jobs.folder import RESUMABLE, JobView
from workbench.jobs.kinds import TrainSpec, kind_of
from workbench.workspace import Workspace

_HISTORY_ROWS = 50


@dataclass(frozen=True, slots=True)
class Best:
    """The leading encoder: its average over `tasks` tasks, a fraction, and its gain on them over its base encoder."""

    encoder_id: str
    name: str
    average: float
    tasks: int
    base: str | None
    gain: float | None
    snapshot: str | None


def best_encoder(workspace: Workspace) -> Best | None:
    """Return the highest mean over the tasks that are compared; an own task changes it for nobody."""
    matrix = workspace.store.scores.matrix()
    if matrix.empty:
        return None
    tasks = tasks_of_the_mean(matrix)
    wide = matrix.pivot(index="encoder_id", columns="task", values="spearman")[tasks].dropna()
    means = wide.mean(axis=1)
    leader = str(means.idxmax())
    stored = {encoder.encoder_id: encoder for encoder in workspace.store.encoders.list()}.get(leader)
    base = stored.base if stored else None
    gain = float(means[leader] - means[base]) if base in wide.index else None
    snapshots = {snapshot.snapshot_id: snapshot.name for snapshot in workspace.store.snapshots.list()}
    return Best(
        encoder_id=leader,
        name=scored_name(leader, encoder_names(workspace)),
        average=float(means[leader]),
        tasks=len(tasks),
        base=base,
        gain=gain,
        snapshot=snapshots.get(stored.snapshot_id or "") if stored else None,
    )


def last_result(workspace: Workspace) -> None:
    """Draw the best encoder with its average, its gain over its base, and its snapshot."""
    best = best_encoder(workspace)
    if best is None:
        return
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.metric(
                f"STS average x 100, {counted(best.tasks, 'task')}",
                spearman(best.average),
                None if best.gain is None else f"{best.gain * 100:+.2f} over {plain(best.base or '')}",
                width="content",
            )
            with st.container():
                st.markdown(f"**{plain(best.name)}**")
                origin = f"trained on snapshot {plain(best.snapshot)}" if best.snapshot else "not trained here"
                st.caption(f"Best encoder so far, {origin}.")
                st.page_link(elements.EVALUATE, label="All scores", icon=":material/leaderboard:")


@dataclass(frozen=True, slots=True)
class Box:
    """One stage: headline figure, a line on its state, and the next step."""

    name: str
    icon: str
    figure: str
    state: str
    page: str
    action: str

    @property
    def is_reached(self) -> bool:
        """Whether the workspace has anything of this stage."""
        return self.figure not in ("0", "–")


def boxes(workspace: Workspace) -> list[Box]:
    """Return the five stages with the counts of the workspace."""
    held, best = overview(workspace), best_encoder(workspace)
    snapshots = workspace.store.snapshots.list()
    corpora, judged = counted(held["corpora"], "corpus", "corpora"), counted(held["judgements"], "judgement")
    usable = f"{count(held['ok_triplets'])} with both sides ok"
    frozen = f"in snapshot {plain(snapshots[0].name)}" if snapshots else f"{judged} so far"
    triplets = ("Triplets", ":material/edit_note:", count(held["triplets"]), usable)
    curated = ("Curated", ":material/rule:", count(snapshots[0].rows) if snapshots else "0", frozen)
    runs = ("Runs", ":material/model_training:", count(held["runs"]), f"on {counted(len(snapshots), 'snapshot')}")
    scored = f"{plain(best.name)}, mean of {counted(best.tasks, 'task')}" if best else "no STS score yet"
    leader = ("Best encoder", ":material/leaderboard:", spearman(best.average) if best else "–", scored)
    return [
        Box("Premises", ":material/notes:", count(held["premises"]), f"in {corpora}", elements.HOME, "Import more"),
        Box(*triplets, elements.GENERATE, "Generate more" if held["triplets"] else "Generate triplets"),
        Box(*curated, elements.CURATE, "Review the rule" if snapshots else "Curate triplets"),
        Box(*runs, elements.TRAIN, "Train again" if held["runs"] else "Train an encoder"),
        Box(*leader, elements.EVALUATE, "Compare encoders" if best else "Evaluate an encoder"),
    ]


def pipeline_strip(workspace: Workspace, *, on_import: Callable[[], None] | None) -> None:
    """Draw the boxes; the button of the first empty stage is the primary one. Without `on_import`, no buttons."""
    drawn = boxes(workspace)
    waiting = next((box.name for box in drawn if not box.is_reached), None)
    with st.grid(5, min_column_width=165):
        for box in drawn:
            with st.container(border=True, height="stretch", gap="xsmall", vertical_alignment="distribute"):
                _figures(box)
                if on_import is not None:
                    _action(box, on_import, stands_out=box.name == waiting)


def _figures(box: Box) -> None:
    with st.container(gap="xsmall"):
        st.markdown(f"{box.icon} **{box.name}**")
        st.metric(box.name, box.figure, label_visibility="collapsed")
        st.caption(box.state)


def _action(box: Box, on_import: Callable[[], None], *, stands_out: bool) -> None:
    if st.button(box.action, key=f"strip_{box.name}", type=theme.button_kind(stands_out), width="stretch"):
        on_import() if box.page == elements.HOME else st.switch_page(box.page)


def result_picture(workspace: Workspace) -> None:
    """Draw the newest result with intervals: what each stage of a study was worth, else the arms with scores."""
    report = newest_report(workspace)
    if report is not None:
        with st.container(border=True):
            with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
                st.subheader(plain(report["title"]), anchor=False)
                query = {state.TRAIN_VIEW: "Studies", state.STUDY: str(report["study"])}
                st.page_link(elements.TRAIN, label="The study", icon=":material/grid_on:", query_params=query)
            effects_view(report, key="home_effects")
        return
    scores = workspace.store.scores.matrix()
    if not scores.empty:
        arms_view(workspace, scores, encoder_names(workspace))


@st.cache_data(ttl=60, show_spinner=False)
def _sizes(root: str, parts: tuple[str, ...]) -> dict[str, int]:
    """Return the bytes of each part of a workspace, and of all of it under ""."""
    sizes = dict.fromkeys(parts, 0) | {"": 0}
    for folder, _, files in os.walk(root):
        part = Path(folder).relative_to(root).parts[:1]
        for name in files:
            with suppress(OSError):
                size = (Path(folder) / name).lstat().st_size
                sizes[""] += size
                if part and part[0] in sizes:
                    sizes[part[0]] += size
    return sizes


def space_on_disk(workspace: Workspace) -> None:
    """Draw what the workspace takes on disk, and offer to free what is not needed for its results."""
    sizes = _sizes(str(workspace.root), ("jobs", "vectors", "snapshots", "studies"))
    weights = {
        job.job_id: size
        for job in workspace.jobs.of(TrainSpec)
        if job.state in ("finished", "cancelled")
        if (size := sum(path.stat().st_size for path in weight_files(workspace.jobs.output(job.job_id, ""))))
    }
    st.subheader("Space on disk", anchor=False)
    parts = [("vectors", "cached vectors"), ("jobs", "jobs"), ("snapshots", "snapshots"), ("studies", "studies")]
    words = ", ".join(f"{_megabytes(sizes[name])} {label}" for name, label in parts if sizes[name] >= 1e5)
    st.caption(f"{_megabytes(sizes[''])} in this workspace{f': {words}' if words else ''}.")
    with st.container(horizontal=True):
        with st.popover("Free it", icon=":material/cleaning_services:", disabled=not (weights or sizes["vectors"])):
            if sizes["vectors"]:
                st.caption("Cached vectors are computed again when they are needed.")
                st.button(
                    f"Delete {_megabytes(sizes['vectors'])} of vectors",
                    key="free_vectors",
                    on_click=_freed,
                    args=(delete_vectors, workspace),
                )
            if weights:
                names = {job.job_id: job.title for job in workspace.jobs.of(TrainSpec)}
                chosen = st.multiselect(
                    "Weights of runs",
                    list(weights),
                    format_func=lambda run_id: f"{names[run_id]} ({_megabytes(weights[run_id])})",
                    key="free_runs",
                    placeholder="Choose runs",
                    help="Curve, scores, predictions and settings stay; to use the encoder again, train it again.",
                )
                freed = _megabytes(sum(weights[run_id] for run_id in chosen))
                st.button(
                    f"Delete {freed} of weights for good",
                    key="free_weights",
                    disabled=not chosen,
                    on_click=_weights_freed,
                    args=(workspace, tuple(chosen)),
                )


def _megabytes(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"


def _freed(act: Callable[..., Any], workspace: Workspace, **named: Any) -> None:
    with errors_shown():
        st.toast(f"{_megabytes(act(workspace, **named)['freed_bytes'])} freed.")
    _sizes.clear()


def _weights_freed(workspace: Workspace, run_ids: tuple[str, ...]) -> None:
    for run_id in run_ids:
        _freed(delete_weights, workspace, run_id=run_id)
    st.session_state.pop("free_runs", None)


def job_list(workspace: Workspace) -> None:
    """Draw running, stopped and past jobs; redraws itself while one runs."""
    for what, aside in (("jobs", workspace.jobs.set_aside()), ("snapshots", workspace.store.snapshots.set_aside())):
        if aside:
            st.warning(
                plain(f"Unreadable {what} were skipped: {' '.join(aside.values())}"), icon=":material/folder_off:"
            )
    jobs = _listed(workspace)
    if not jobs:
        return

    def draw() -> bool:
        views = _listed(workspace)
        live = [job for job in views if is_live(job)]
        stopped = [job for job in views if job.state in RESUMABLE]
        if live:
            st.subheader("Running", anchor=False)
            for job in live:
                job_card(workspace, job, key="home")
        if stopped:
            st.subheader("Stopped, can be resumed", anchor=False)
            for job in stopped[:5]:
                job_card(workspace, job, key="home")
        _history([job for job in views if not is_live(job)])
        return bool(live)

    while_live(draw, live=any(is_live(job) for job in jobs))


def _listed(workspace: Workspace) -> list[JobView]:
    """Return all jobs but previews, which only the page that started them shows."""
    return [job for job in workspace.jobs.list() if not kind_of(job.spec).shown_where_asked]


def _history(jobs: list[JobView]) -> None:
    if not jobs:
        return
    st.subheader("Past jobs", anchor=False)
    rows = [
        {
            "Job": kind_of(job.spec).title,
            "What": job.title,
            "State": job.state,
            "Done": f"{job.done:,} of {job.total:,}",
            "Took": "" if (seconds := _seconds(job)) is None else duration(seconds),
            "Ended": ago(job.finished_at),
        }
        for job in jobs[:_HISTORY_ROWS]
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, alt="Past jobs with their state")


def _seconds(job: JobView) -> float | None:
    if not (job.started_at and job.finished_at):
        return None
    return (pd.Timestamp(job.finished_at) - pd.Timestamp(job.started_at)).total_seconds()
