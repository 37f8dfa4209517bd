"""All runs as a table, from which some are chosen to be compared."""

import json

import pandas as pd
import streamlit as st

from workbench.components.wording import ago
from workbench.workspace import Workspace


def all_runs(workspace: Workspace) -> pd.DataFrame:
    """Return the runs with their states as they are now, with those too new for the store to have a row of them."""
    stored = workspace.store.runs.list()
    jobs = {job.job_id: job for job in workspace.jobs.list() if job.kind == "train"}
    new = [
        {
            "run_id": job.job_id,
            "title": job.title,
            "state": job.state,
            "spec": json.dumps(job.spec),
            "created_at": job.created_at,
        }
        for job in jobs.values()
        if job.job_id not in set(stored["run_id"])
    ]
    if new:
        stored = pd.concat([pd.DataFrame(new), stored.astype(object)], ignore_index=True)
    states = {job_id: job.state for job_id, job in jobs.items()}
    return stored.assign(state=stored["run_id"].map(states).fillna(stored["state"])).infer_objects()


def run_list(runs: pd.DataFrame) -> list[str]:
    """Draw all runs, newest first; returns the ids of the selected ones."""
    st.subheader("All runs", anchor=False)
    st.caption("Tick two or more to compare them.")
    table = runs.assign(dev=runs["best_dev_score"] * 100, when=runs["created_at"].map(ago))
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
