"""All runs as a table, from which some are chosen to be compared."""

import numpy as np
import pandas as pd
import streamlit as st

from workbench.components.job_progress import is_live, while_live
from workbench.components.train.run_comparison import run_comparison
from workbench.components.wording import ago, clock
from workbench.jobs.kinds import TrainSpec
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
