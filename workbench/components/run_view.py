"""One training run: its job, its curves, its result."""

import pandas as pd
import streamlit as st

from workbench.components import links
from workbench.components.job_progress import is_live, job_card, while_live
from workbench.components.train_curves import train_curves
from workbench.components.wording import spearman
from workbench.workspace import Workspace


def run_view(workspace: Workspace, run_id: str) -> None:
    """Draw the run; redraws itself while it trains."""
    live = is_live(workspace.jobs.get(run_id))

    def draw() -> bool:
        job = workspace.jobs.get(run_id)
        if job.state == "finished":
            _result(workspace, run_id)
        else:
            job_card(workspace, job, key="run")
        train_curves(workspace.store.runs.curve(run_id), key="curve")
        return is_live(job)

    while_live(draw, live=live)


def _result(workspace: Workspace, run_id: str) -> None:
    curve = workspace.store.runs.curve(run_id)
    matrix = workspace.store.scores.matrix()
    scores = matrix[matrix["encoder_id"] == run_id]
    dev = curve["dev_score"].dropna()
    with st.grid(4, min_column_width=110):
        st.metric("STS average x 100", spearman(scores["spearman"].mean()), help=f"Mean of {len(scores)} tasks.")
        st.metric("Dev score x 100", spearman(dev.iloc[-1] if len(dev) else None))
        st.metric("Final loss", "–" if curve.empty else f"{curve['loss'].iloc[-1]:.3f}")
        st.metric(
            "Masked", "–" if curve.empty else f"{curve['masked_share'].mean():.2%}", help="Mean over the steps."
        )
    with st.container(horizontal=True):
        st.page_link(links.EVALUATE, label="See it beside other encoders", icon=":material/leaderboard:")
        st.page_link(links.EMBEDDING_MAP, label="Look at its map", icon=":material/scatter_plot:")


def run_table(runs: pd.DataFrame) -> None:
    """Draw all runs, newest first."""
    st.subheader("Runs", anchor=False)
    table = runs.copy()
    table["dev"] = table["dev_score"] * 100
    st.dataframe(
        table[["title", "state", "step", "loss", "dev"]],
        hide_index=True,
        alt="Training runs",
        column_config={
            "title": st.column_config.TextColumn("Run", width="large"),
            "state": "State",
            "step": st.column_config.NumberColumn("Steps done", format="localized"),
            "loss": st.column_config.NumberColumn("Loss", format="%.4f"),
            "dev": st.column_config.NumberColumn("Dev score x 100", format="%.2f"),
        },
    )
