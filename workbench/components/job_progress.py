"""How jobs look: the strip in the sidebar, and cards with state, progress and controls."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import streamlit as st

from workbench import state, theme
from workbench.actions.jobs import cancel, finish, pause, resume
from workbench.components.elements import count, counted, duration, errors_shown, plain
from workbench.jobs.folder import RESUMABLE, JobView, S
from workbench.jobs.kinds import JobSpec, TokensSpec, kind_of
from workbench.workspace import Workspace

LIVE_STATES: Final = frozenset({"queued", "running"})
REFRESH_SECONDS: Final = 1.5
IDLE_SECONDS: Final = 5
SILENT_SECONDS: Final = 60
"""After so long without a report, rate and time left are out of date and not shown."""

_PREPARING: Final = {"downloads": "Connecting"}
"""What a job of a lane does before its first report, where that is not loading a model."""
_STATE_LOOKS: Final[dict[str, tuple[theme.BadgeColour, str]]] = {
    "queued": ("gray", ":material/schedule:"),
    "running": ("blue", ":material/progress_activity:"),
    "paused": ("orange", ":material/pause_circle:"),
    "cancelled": ("gray", ":material/cancel:"),
    "failed": ("red", ":material/error:"),
    "finished": ("green", ":material/check_circle:"),
    "interrupted": ("orange", ":material/power_off:"),
}


J = TypeVar("J", bound="JobView[Any] | None")
"""A job that exists, or one that may not."""


def is_live(job: JobView | None) -> bool:
    """Whether there is a job that is queued or running."""
    return job is not None and job.state in LIVE_STATES


def while_live(
    draw: Callable[[], bool], *, live: bool, idle_every: float | None = None, every: float = REFRESH_SECONDS
) -> None:
    """Draw a part of the page and redraw it automatically while something runs; rerun the page once when that ends.

    `draw` returns whether something still runs. With `idle_every` (seconds) it is also redrawn while nothing runs, to
    show what was started elsewhere, and to rerun the page when that ends.
    """
    was_live = live

    def part() -> None:
        nonlocal was_live
        before, was_live = was_live, draw()
        if before and not was_live:
            st.rerun()

    st.fragment(part, run_every=every if live else idle_every)()


def follow(find: Callable[[], J], draw: Callable[[J], object], *, every: float = REFRESH_SECONDS) -> None:
    """Draw the job that `find` returns, or what to show without one; redrawn while the job is live."""

    def part() -> bool:
        job = find()
        draw(job)
        return is_live(job)

    while_live(part, live=is_live(find()), every=every)


def running_now(workspace: Workspace) -> None:
    """Draw the strip in the sidebar: every job that runs or waits."""

    def draw() -> bool:
        state.acknowledge_address()
        jobs = _shown_live(workspace)
        for job in jobs:
            st.progress(share(job), text=f"**{plain(_title(job))}**  \n{progress_words(job)}")
        return bool(jobs)

    while_live(draw, live=bool(_shown_live(workspace)), idle_every=IDLE_SECONDS)


def _shown_live(workspace: Workspace) -> list[JobView]:
    """Jobs that run or wait; token counts end too soon to be read here."""
    return [job for job in workspace.jobs.list() if is_live(job) and type(job.spec) is not TokensSpec]


def share(job: JobView) -> float:
    """Return the finished part of a job, 0 to 1."""
    return min(1.0, job.done / job.total) if job.total else 0.0


def progress_words(job: JobView) -> str:
    """Return percentage, rate and time left, as far as they are known."""
    if job.state == "queued":
        return "waiting in the queue"
    if not job.total and job.state != "running":
        return "not started yet"
    parts = [f"{share(job):.0%}" if job.total else _PREPARING.get(kind_of(job.spec).lane, "Loading the model")]
    if job.silent_s is not None and job.silent_s >= SILENT_SECONDS:
        return f"{parts[0]} · no report for {duration(job.silent_s)}"
    if job.rate:
        parts.append(f"{job.rate:.1f}/s" if job.rate >= 0.1 else f"{job.rate * 60:.1f}/min")
    if job.eta_s is not None and is_live(job):
        parts.append(f"{duration(job.eta_s)} left")
    return " · ".join(parts)


def job_strip(workspace: Workspace, *kinds: type[S], key: str, where: Callable[[S], bool] | None = None) -> bool:
    """Draw the jobs of these kinds that run, else the newest of each that stopped before its end; return if one runs.

    While none of several has begun, only the next one is shown. Redraws itself while one runs.
    """

    def live_and_stopped() -> tuple[list[JobView[S]], list[JobView[S]]]:
        found = [workspace.jobs.of(kind, where) for kind in kinds]
        stopped = [job for jobs in found for job in jobs[:1] if job.state in RESUMABLE]
        return [job for jobs in found for job in jobs if is_live(job)], stopped

    def draw() -> bool:
        live, stopped = live_and_stopped()
        shown = [job for job in live if job.state == "running"] or live[-1:] or stopped
        for job in shown:
            job_card(workspace, job, key=key)
        if len(live) > len(shown):
            st.caption(f"{count(len(live) - len(shown))} more in the queue; Home lists them.")
        return bool(live)

    live, stopped = live_and_stopped()
    if live or stopped:
        while_live(draw, live=bool(live))
    return bool(live)


def job_card(workspace: Workspace, job: JobView, *, key: str) -> None:
    """Draw a job with its state, progress, message and the controls that apply now."""
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{plain(_title(job))}**", width="stretch")
            colour, icon = _STATE_LOOKS.get(job.state, ("gray", ":material/help:"))
            st.badge(job.state, color=colour, icon=icon)
        if job.state != "finished":
            st.progress(share(job), text=_progress(job))
        if job.message and job.state == "failed":
            st.error(plain(job.message))
        elif job.message and job.state != "finished":
            st.caption(plain(job.message))
        controls(workspace, job, key=key)


def _progress(job: JobView[JobSpec]) -> str:
    if not job.total:
        return progress_words(job)
    unit = kind_of(job.spec).unit
    return f"{count(job.done)} of {count(job.total)}{unit and f' {unit}'} · {progress_words(job)}"


def controls(workspace: Workspace, job: JobView, *, key: str) -> None:
    """Draw pause, resume and cancel; they take effect at the worker's next batch. Previews are too short to pause."""
    kind = kind_of(job.spec)
    offered: list[tuple[str, str, Callable[..., object]]] = []
    if is_live(job) and not kind.shown_where_asked:
        offered.append(("Pause", ":material/pause:", pause))
    if job.state in RESUMABLE:
        offered.append(("Resume", ":material/play_arrow:", resume))
    if kind.kept_early and job.done and job.state in {"running", "paused", "interrupted"}:
        offered.append(("Stop and keep", ":material/save:", finish))
    if is_live(job) or job.state in {"paused", "interrupted"}:
        offered.append(("Cancel", ":material/close:", cancel))
    if not offered:
        return
    with st.container(horizontal=True):
        for label, icon, act in offered:
            if st.button(label, icon=icon, key=f"{key}_{label}_{job.job_id}"):
                with errors_shown():
                    act(workspace, job_id=job.job_id)
                    st.rerun()


def _title(job: JobView) -> str:
    return job.title or kind_of(job.spec).title


def show_charges(job: JobView) -> None:
    """Say what a server has charged for a job, if it did."""
    if usage := job.details.get("usage"):
        tokens = usage["prompt_tokens"] + usage["reply_tokens"]
        money = f", {usage['money']:.4f} in the currency of its prices" if usage["money"] else ""
        st.caption(f"{counted(usage['calls'], 'call')}, {counted(tokens, 'token')}{money} charged by the server.")


def show_engine(job: JobView) -> None:
    """Name the engine that writes, or the nodes that do, where the job has noted it."""
    if cluster := job.details.get("cluster"):
        st.caption(plain(cluster_words(cluster)))
    if name := job.details.get("engine"):
        st.caption(plain(f"Engine: {name}."))


def cluster_words(cluster: dict[str, Any]) -> str:
    """Return rows per second of each node, and what became of actors and nodes, in a sentence or two."""
    nodes = ", ".join(f"{name} {node['rows_per_s']:g} rows/s" for name, node in cluster["nodes"].items())
    lost = f" {counted(cluster['lost_actors'], 'actor')} lost, its rows made again." if cluster["lost_actors"] else ""
    return f"{counted(cluster['actors'], 'actor')} at work: {nodes}.{lost} {'; '.join(cluster['left_out'])}".rstrip()
