"""One training run: its job, its result, its curves, and what it left behind."""

from dataclasses import asdict
from math import isfinite

import pandas as pd
import streamlit as st

from workbench import state
from workbench.components import links
from workbench.components.job_progress import is_live, job_card, while_live
from workbench.components.notice import empty_state
from workbench.components.train.model_card_view import model_card_view
from workbench.components.train.run_details import cost_words, dev_rows, first_batch_view, read_detail, settings_view
from workbench.components.train.train_curves import train_curves
from workbench.components.train.train_settings import start_from
from workbench.components.wording import count, spearman
from workbench.jobs.views import JobView
from workbench.workspace import Workspace

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
        st.page_link(links.EVALUATE, label="See it beside other encoders", icon=":material/leaderboard:")
        st.page_link(links.EMBEDDING_MAP, label="Look at its map", icon=":material/scatter_plot:")
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
