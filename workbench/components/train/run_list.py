"""Training runs: one while it trains and afterwards, the queue, and the table of all with a comparison."""

from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import pandas as pd
import streamlit as st

from workbench import state
from workbench.actions.jobs import cancel, move
from workbench.components import elements
from workbench.components.elements import ago, clock, count, counted, empty_state, errors_shown, plain, spearman
from workbench.components.job_progress import follow, is_live, job_card, while_live
from workbench.components.train import run_details
from workbench.components.train.run_alerts import alerts, baseline_of
from workbench.components.train.train_curves import train_curves
from workbench.components.train.train_settings import start_from
from workbench.jobs.folder import JobView
from workbench.jobs.kinds import TrainSpec, kind_of
from workbench.workspace import Workspace

_CHARTS_EVERY_S = 4.0
_LIVE_POINTS, _POINTS = 250, 2000
_EARLIER = 6
"""Most earlier runs whose dev scores are drawn behind those of a run."""
_DETAILS = ("Curves", "First batch", "Worst validation rows", "Model card", "Settings", "Log")


def all_runs(workspace: Workspace) -> pd.DataFrame:
    """Return all runs with their current states, including those too new to have a row in the store."""
    stored = workspace.store.runs.list()
    jobs = {job.job_id: job for job in workspace.jobs.of(TrainSpec)}
    stored_ids = set(stored["run_id"])
    new = [
        {"run_id": job_id, "title": job.title, "state": job.state, "created_at": job.created_at}
        for job_id, job in jobs.items()
        if job_id not in stored_ids
    ]
    if new:
        stored = pd.concat([pd.DataFrame(new), stored.astype(object)], ignore_index=True)
    states = {job_id: job.state for job_id, job in jobs.items()}
    now = stored["run_id"].map(states).fillna(stored["state"])
    return stored.assign(state=now, title=unique_titles(stored)).infer_objects()


def unique_titles(runs: pd.DataFrame) -> list[str]:
    """Return the titles; runs of the same title get the time they began, and a number if that is equal too."""
    titles = runs["title"]
    shared = titles.duplicated(keep=False)
    return state.numbered(titles.where(~shared, titles + " · " + runs["created_at"].map(clock)).tolist())


def run_view(workspace: Workspace, run_id: str) -> None:
    """Draw the run; redraws itself while it trains."""

    def head(job: JobView) -> None:
        if job.state == "finished":
            _result(workspace, job)
        else:
            job_card(workspace, job, key="run")
            if not is_live(job):
                _again(job)
        _warnings(workspace, job)

    def body(job: JobView) -> None:
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

    follow(lambda: workspace.jobs.get(run_id), head)
    # Six charts keep a browser busy: they are redrawn less often than the progress, and with fewer points.
    follow(lambda: workspace.jobs.get(run_id), body, every=_CHARTS_EVERY_S)


def _part(workspace: Workspace, job: JobView, view: str) -> None:
    if view == "First batch":
        run_details.first_batch_view(workspace, job.job_id)
    elif view == "Worst validation rows":
        run_details.dev_rows(workspace, job.job_id)
    elif view == "Model card":
        run_details.model_card_view(workspace, job.job_id)
    elif view == "Settings":
        run_details.settings_view(workspace, job)
    elif view == "Log":
        log = workspace.jobs.log(job.job_id)
        st.code(log or "The log is empty.", language=None, wrap_lines=True, height=400)
    else:
        dev = run_details.read_detail(workspace, job.job_id, "dev_rows.json")
        name = str(dev["name"]) if dev else "dev"
        most = _LIVE_POINTS if is_live(job) else _POINTS
        curve = workspace.store.runs.curve(job.job_id, most=most)
        earlier = _earlier(workspace, job, name) if curve["dev_score"].notna().any() else {}
        base = baseline_of(workspace, job.job_id)
        train_curves(curve, key="curve", dev_name=name, state=job.state, earlier=earlier, baseline=base)


def _earlier(workspace: Workspace, job: JobView[TrainSpec], dev_name: str) -> dict[str, pd.DataFrame]:
    """Return title -> curve of the runs before this one with the same encoder and dev data, newest first."""
    found: dict[str, pd.DataFrame] = {}
    for other in workspace.jobs.of(TrainSpec):
        if (
            len(found) == _EARLIER
            or other.job_id >= job.job_id
            or other.spec.config.encoder != job.spec.config.encoder
        ):
            continue
        dev = run_details.read_detail(workspace, other.job_id, "dev_rows.json")
        if dev is not None and dev["name"] == dev_name:
            found[f"{other.title} ({other.job_id})"] = workspace.store.runs.curve(other.job_id, most=_LIVE_POINTS)
    return found


def _result(workspace: Workspace, job: JobView) -> None:
    curve = workspace.store.runs.curve(job.job_id)
    matrix = workspace.store.scores.matrix()
    scores = matrix[matrix["encoder_id"] == job.job_id]
    held_out = workspace.store.scores.held_out()
    held_out = held_out[held_out["encoder_id"] == job.job_id]
    dev = curve["dev_score"].dropna()
    base = baseline_of(workspace, job.job_id)
    gain = None if base is None or dev.empty else f"{(dev.max() - base) * 100:+.2f} over the untrained encoder"
    with st.grid(4, min_column_width=150):
        if len(dev):
            st.metric("Best dev score x 100", spearman(dev.max()), gain)
        if scores.empty and len(held_out):
            st.metric(
                "Held-out accuracy",
                f"{held_out['accuracy'].iloc[0]:.1%}",
                help=f"{count(held_out['triplets'].iloc[0])} held-out triplets.",
            )
        else:
            st.metric("STS average x 100", spearman(scores["spearman"].mean()), help=f"Mean of {len(scores)} tasks.")
        st.metric("Final loss", _loss(curve))
        st.metric("Masked", _mean_share(curve, "masked_share"), help="Share of all candidates, mean over the steps.")
    cost = run_details.cost_words(run_details.read_detail(workspace, job.job_id, "cost.json"))
    for words in (masked_words(curve), cost):
        if words:
            st.caption(words)
    if job.total and job.done < job.total:
        st.caption(f"Ended at step {count(job.done)} of {count(job.total)}; the encoder was kept.")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.page_link(elements.EVALUATE, label="Compare with other encoders", icon=":material/leaderboard:")
        st.page_link(elements.EMBEDDING_MAP, label="Show its map", icon=":material/scatter_plot:")
        _again(job)


def _warnings(workspace: Workspace, job: JobView) -> None:
    """Say what goes wrong, and how many batches were smaller than asked for."""
    for alert in alerts(workspace.store.runs.curve(job.job_id), baseline_of(workspace, job.job_id)):
        st.warning(alert.text, icon=":material/warning:", title=alert.title)
    if smaller := job.details.get("smaller_batches"):
        st.caption(
            f"{count(smaller)} of {counted(job.spec.config.steps, 'batch', 'batches')} had fewer than "
            f"{count(job.spec.config.batch_size)} triplets: all others repeat a premise or positive of the batch."
        )


def _again(job: JobView) -> None:
    """Offer a new run with the settings of this one."""
    if st.button("New run from this", icon=":material/content_copy:", type="tertiary", key="run_again"):
        start_from(asdict(job.spec.config))
        state.select(state.TRAIN_VIEW, "New run")
        st.rerun(scope="app")


def _loss(curve: pd.DataFrame) -> str:
    if curve.empty:
        return "–"
    last = float(curve["loss"].iloc[-1])
    return f"{last:.3g}" if np.isfinite(last) else "not a number"


def masked_words(curve: pd.DataFrame) -> str:
    """Return what was masked by kind of candidate; one in 256 is a premise's own, which the total share hides."""
    kinds = {
        "masked_own": "the premises' own hard negatives",
        "masked_positives": "the other positives",
        "masked_hard_negatives": "the other hard negatives",
    }
    parts = [f"{_mean_share(curve, name)} of {words}" for name, words in kinds.items() if curve[name].notna().any()]
    return f"Masked: {', '.join(parts)}." if parts and curve["masked_share"].max() > 0 else ""


def _mean_share(curve: pd.DataFrame, column: str) -> str:
    return "–" if curve.empty else f"{curve[column].mean():.2%}"


def run_queue(workspace: Workspace) -> None:
    """Draw the running jobs and the queue behind them; nothing while no training run waits."""

    def draw() -> bool:
        jobs = workspace.jobs.list()
        waiting = {job.job_id: job for job in jobs if job.state == "queued"}
        if not any(job.kind == "train" for job in waiting.values()):
            return False
        with st.container(border=True):
            st.markdown("**Queue**  \n:gray[One run at a time per device; the next one starts automatically.]")
            for job in jobs:
                if job.state == "running":
                    job_card(workspace, job, key="queue")
            order = [waiting[job_id] for job_id in _order(workspace, waiting)]
            for place, job in enumerate(order):
                _queue_line(workspace, job, place, last=len(order) - 1)
        return True

    while_live(draw, live=any(job.state == "queued" for job in workspace.jobs.of(TrainSpec)))


def _order(workspace: Workspace, waiting: dict[str, JobView]) -> list[str]:
    """Return the waiting jobs lane by lane, in the order in which they will start."""
    found = dict.fromkeys(job_id for job in waiting.values() for job_id in workspace.jobs.waiting(job.spec))
    return [job_id for job_id in found if job_id in waiting]


def _queue_line(workspace: Workspace, job: JobView, place: int, *, last: int) -> None:
    def step(places: int) -> Callable[[], object]:
        return lambda: move(workspace, job_id=job.job_id, places=places)

    with st.container(horizontal=True, vertical_alignment="center"):
        kind = "" if job.kind == "train" else f" :gray[({kind_of(job.spec).title})]"
        st.markdown(f"{place + 1}. {plain(job.title)}{kind}", width="stretch")
        moves: tuple[tuple[str, str, bool, Callable[[], object]], ...] = (
            ("Up", ":material/arrow_upward:", place == 0, step(-1)),
            ("Down", ":material/arrow_downward:", place == last, step(1)),
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


def runs_overview(workspace: Workspace) -> None:
    """Draw all runs and the comparison of the selected ones; redraws itself while one of them trains."""

    def any_live() -> bool:
        return any(is_live(job) for job in workspace.jobs.of(TrainSpec))

    def draw() -> bool:
        runs = all_runs(workspace)
        compared = run_list(runs)
        if len(compared) > 1:
            run_details.run_comparison(workspace, runs, compared)
        return any_live()

    while_live(draw, live=any_live(), every=_CHARTS_EVERY_S)


def run_list(runs: pd.DataFrame) -> list[str]:
    """Draw all runs, newest first; return the ids of the selected ones."""
    st.caption("Select two or more runs to compare them.")
    ids = runs["run_id"].astype(str).tolist()
    key = f"run_list_{len(ids)}"  # a new run moves the rows, and the numbers of the selected ones mean others
    if state.coming(state.COMPARED_RUNS) is not None or f"{key}_first" not in st.session_state:
        wanted = (state.recall(state.COMPARED_RUNS) or "").split(",")
        st.session_state[f"{key}_first"] = [ids.index(run_id) for run_id in wanted if run_id in ids]
    broken = runs["step"].notna() & ~np.isfinite(runs["loss"].astype(float))
    states = runs["state"].where(~broken, runs["state"] + ", loss NaN")
    table = runs.assign(state=states, dev=runs["best_dev_score"] * 100, when=runs["created_at"].map(ago))
    event = st.dataframe(
        table[["title", "state", "step", "loss", "dev", "when"]],
        key=key,
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        selection_default={"selection": {"rows": st.session_state[f"{key}_first"]}},
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
    chosen = [ids[row] for row in event.selection.rows if row < len(ids)]
    if ",".join(chosen) != (state.recall(state.COMPARED_RUNS) or ""):
        state.remember(state.COMPARED_RUNS, ",".join(chosen) or None)
    return chosen


def no_run_yet() -> None:
    """Say that there is no run yet, and offer the form."""
    hint = "The static encoder trains in under a minute on a CPU."
    empty_state("No training run yet", hint=hint, icon=":material/model_training:")
    if st.button("Set up a run", type="primary", icon=":material/arrow_forward:", key="first_run"):
        state.select(state.TRAIN_VIEW, "New run")
        st.rerun()
