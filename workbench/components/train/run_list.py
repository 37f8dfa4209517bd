"""All runs as a table, from which some are chosen to be compared."""

from collections.abc import Callable
from dataclasses import asdict
from math import isfinite

import numpy as np
import pandas as pd
import streamlit as st

from workbench import state
from workbench.actions.jobs import cancel, move
from workbench.components import elements
from workbench.components.elements import ago, clock, count, empty_state, errors_shown, plain, spearman
from workbench.components.job_progress import is_live, job_card, progress_words, share, while_live
from workbench.components.train.run_details import (
    cost_words,
    dev_rows,
    first_batch_view,
    model_card_view,
    read_detail,
    run_comparison,
    settings_view,
)
from workbench.components.train.train_curves import train_curves
from workbench.components.train.train_settings import start_from
from workbench.jobs.folder import JobView
from workbench.jobs.kinds import TrainSpec, kind_of
from workbench.workspace import Workspace

_EVERY_S = 4.0


def runs_overview(workspace: Workspace) -> None:
    """Draw all runs and the comparison of the ticked ones; redraws itself while one of them trains."""

    def any_live() -> bool:
        return any(is_live(job) for job in workspace.jobs.of(TrainSpec))

    def draw() -> bool:
        runs = all_runs(workspace)
        compared = run_list(runs)
        if len(compared) > 1:
            run_comparison(workspace, runs, compared)
        return any_live()

    while_live(draw, live=any_live(), every=_EVERY_S)


def all_runs(workspace: Workspace) -> pd.DataFrame:
    """Return the runs with their states as they are now, with those too new for the store to have a row of them."""
    stored = workspace.store.runs.list()
    jobs = {job.job_id: job for job in workspace.jobs.of(TrainSpec)}
    new = [
        {
            "run_id": job.job_id,
            "title": job.title,
            "state": job.state,
            "created_at": job.created_at,
        }
        for job in jobs.values()
        if job.job_id not in set(stored["run_id"])
    ]
    if new:
        stored = pd.concat([pd.DataFrame(new), stored.astype(object)], ignore_index=True)
    states = {job_id: job.state for job_id, job in jobs.items()}
    now = stored["run_id"].map(states).fillna(stored["state"])
    return stored.assign(state=now, title=told_apart(stored)).infer_objects()


def told_apart(runs: pd.DataFrame) -> pd.Series:
    """Return titles of which no two are equal: runs of one title get the time they began, and a number if need be.

    A list to choose from answers with the words that were chosen: of two equal ones it would always be the first.
    """
    titles = runs["title"]
    shared = titles.duplicated(keep=False)
    titles = titles.where(~shared, titles + " · " + runs["created_at"].map(clock))
    number = titles.groupby(titles).cumcount() + 1
    return titles.where(number == 1, titles + " (" + number.astype(str) + ")")


def run_list(runs: pd.DataFrame) -> list[str]:
    """Draw all runs, newest first; returns the ids of the selected ones."""
    st.subheader("All runs", anchor=False)
    st.caption("Tick two or more to compare them.")
    broken = runs["step"].notna() & ~np.isfinite(runs["loss"].astype(float))
    state = runs["state"].where(~broken, runs["state"] + ", loss NaN")
    table = runs.assign(state=state, dev=runs["best_dev_score"] * 100, when=runs["created_at"].map(ago))
    event = st.dataframe(
        table[["title", "state", "step", "loss", "dev", "when"]],
        key="run_list",
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        alt="Training runs",
        placeholder="–",
        column_config={
            "title": st.column_config.TextColumn("Run", width="large"),
            "state": "State",
            "step": st.column_config.NumberColumn("Steps done", format="localized"),
            "loss": st.column_config.NumberColumn("Last loss", format="%.4f"),
            "dev": st.column_config.NumberColumn("Best dev score x 100", format="%.2f"),
            "when": "Started",
        },
    )
    return [str(runs.iloc[row]["run_id"]) for row in event.selection.rows if row < len(runs)]


def run_queue(workspace: Workspace) -> None:
    """Draw the queue; nothing while no training run waits."""

    def draw() -> bool:
        jobs = workspace.jobs.list()
        waiting = {job.job_id: job for job in jobs if job.state == "queued"}
        if not any(job.kind == "train" for job in waiting.values()):
            return False
        with st.container(border=True):
            st.markdown("**Queue**  \n:gray[One run at a time per device; the next one starts by itself.]")
            for job in jobs:
                if job.state == "running":
                    st.progress(share(job), text=f"{_words(job)} · {progress_words(job)}")
            order = [waiting[job_id] for job_id in _order(workspace, waiting)]
            for place, job in enumerate(order):
                _line(workspace, job, place, last=len(order) - 1)
        return True

    def live() -> bool:
        return any(is_live(job) for job in workspace.jobs.of(TrainSpec))

    while_live(draw, live=live() and any(job.state == "queued" for job in workspace.jobs.list()))


def _order(workspace: Workspace, waiting: dict[str, JobView]) -> list[str]:
    """All waiting jobs, lane by lane in the order in which they will start."""
    found: dict[str, None] = {}
    for job in waiting.values():
        for job_id in workspace.jobs.waiting(job.spec):
            found.setdefault(job_id)
    return [job_id for job_id in found if job_id in waiting]


def _line(workspace: Workspace, job: JobView, place: int, *, last: int) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"{place + 1}. {_words(job)}", width="stretch")
        moves: tuple[tuple[str, str, bool, Callable[[], object]], ...] = (
            ("Up", ":material/arrow_upward:", place == 0, lambda: move(workspace, job_id=job.job_id, places=-1)),
            (
                "Down",
                ":material/arrow_downward:",
                place == last,
                lambda: move(workspace, job_id=job.job_id, places=1),
            ),
            ("Remove", ":material/close:", False, lambda: cancel(workspace, job_id=job.job_id)),
        )
        for label, icon, is_off, act in moves:
            if st.button(label, icon=icon, key=f"queue_{label}_{job.job_id}", disabled=is_off, type="tertiary"):
                with errors_shown():
                    act()
                    st.rerun()
        if job.kind == "train" and st.button("Open", key=f"queue_open_{job.job_id}", type="tertiary"):
            state.select(state.RUN, job.job_id)
            st.rerun()


def _words(job: JobView) -> str:
    kind = "" if job.kind == "train" else f" :gray[({kind_of(job.spec).title})]"
    return f"{plain(job.title)}{kind}"


_CHARTS_EVERY_S = 4.0
_LIVE_POINTS, _POINTS = 250, 2000
_DETAILS = ("Curves", "First batch", "Worst validation rows", "Model card", "Settings", "Log")


def run_view(workspace: Workspace, run_id: str) -> None:
    """Draw the run; redraws itself while it trains."""
    live = is_live(workspace.jobs.get(run_id))

    def head() -> bool:
        job = workspace.jobs.get(run_id)
        if job.state == "finished":
            _result(workspace, job)
        else:
            job_card(workspace, job, key="run")
            if not is_live(job):
                _again(job)
        return is_live(job)

    def body() -> bool:
        job = workspace.jobs.get(run_id)
        view = st.segmented_control(
            "Part of the run",
            _DETAILS,
            default="Curves",
            required=True,
            key="run_part",
            label_visibility="collapsed",
            wrap=True,
        )
        _part(workspace, job, str(view))
        return is_live(job)

    while_live(head, live=live)
    # Six charts take a browser a while: they come less often than the progress, and with fewer points.
    while_live(body, live=live, every=_CHARTS_EVERY_S)


def _part(workspace: Workspace, job: JobView, view: str) -> None:
    if view == "First batch":
        first_batch_view(workspace, job.job_id)
    elif view == "Worst validation rows":
        dev_rows(workspace, job.job_id)
    elif view == "Model card":
        model_card_view(workspace, job.job_id)
    elif view == "Settings":
        settings_view(workspace, job)
    elif view == "Log":
        log = workspace.jobs.log(job.job_id)
        st.code(log or "The worker has printed nothing.", language=None, wrap_lines=True, height=400)
    else:
        dev = read_detail(workspace, job.job_id, "dev_rows.json")
        name = str(dev["name"]) if dev else "dev"
        most = _LIVE_POINTS if is_live(job) else _POINTS
        curve = workspace.store.runs.curve(job.job_id, most=most)
        train_curves(curve, key="curve", dev_name=name, live=is_live(job))


def _result(workspace: Workspace, job: JobView) -> None:
    curve = workspace.store.runs.curve(job.job_id)
    matrix = workspace.store.scores.matrix()
    scores = matrix[matrix["encoder_id"] == job.job_id]
    held_out = workspace.store.scores.held_out()
    held_out = held_out[held_out["encoder_id"] == job.job_id]
    dev = curve["dev_score"].dropna()
    with st.grid(4, min_column_width=110):
        if scores.empty and len(held_out):
            st.metric(
                "Held-out accuracy",
                f"{held_out['accuracy'].iloc[0]:.1%}",
                help=f"{count(held_out['triplets'].iloc[0])} held-out triplets.",
            )
        else:
            st.metric("STS average x 100", spearman(scores["spearman"].mean()), help=f"Mean of {len(scores)} tasks.")
        st.metric("Best dev score x 100", spearman(dev.max() if len(dev) else None))
        st.metric("Final loss", _loss(curve))
        st.metric(
            "Masked",
            _mean_share(curve, "masked_share"),
            help="Of all candidates, mean over the steps.",
        )
    masked = masked_words(curve)
    if masked:
        st.caption(masked)
    cost = cost_words(read_detail(workspace, job.job_id, "cost.json"))
    if cost:
        st.caption(cost)
    if job.total and job.done < job.total:
        st.caption(f"Ended at step {count(job.done)} of {count(job.total)}; the encoder was kept.")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.page_link(elements.EVALUATE, label="See it beside other encoders", icon=":material/leaderboard:")
        st.page_link(elements.EMBEDDING_MAP, label="Look at its map", icon=":material/scatter_plot:")
        _again(job)


def _again(job: JobView) -> None:
    """Offer the form with the settings of this run."""
    if st.button("New run from this", icon=":material/content_copy:", type="tertiary", key="run_again"):
        start_from(asdict(job.spec.config))
        state.select(state.TRAIN_VIEW, "New run")
        st.rerun(scope="app")


def _loss(curve: pd.DataFrame) -> str:
    if curve.empty:
        return "–"
    last = float(curve["loss"].iloc[-1])
    return f"{last:.3g}" if isfinite(last) else "not a number"


def masked_words(curve: pd.DataFrame) -> str:
    """Say what was masked by kind of candidate: one in 256 is a premise's own, so the share of all hides it."""
    kinds = {
        "masked_own": "the premises' own hard negatives",
        "masked_positives": "the other positives",
        "masked_hard_negatives": "the other hard negatives",
    }
    parts = [f"{_mean_share(curve, name)} of {words}" for name, words in kinds.items() if curve[name].notna().any()]
    return f"Masked: {', '.join(parts)}." if parts and curve["masked_share"].max() > 0 else ""


def _mean_share(curve: pd.DataFrame, column: str) -> str:
    return "–" if curve.empty else f"{curve[column].mean():.2%}"


def no_run_yet() -> None:
    """Say that there is no run, and lead to the form."""
    empty_state(
        "No run yet", hint="The static encoder trains in under a minute on a CPU.", icon=":material/model_training:"
    )
    if st.button("Set up a run", type="primary", icon=":material/arrow_forward:", key="first_run"):
        state.select(state.TRAIN_VIEW, "New run")
        st.rerun()
