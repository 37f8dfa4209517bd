"""What goes wrong in a run, read off its curve: on its page, and in the sidebar of every page while it is new."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import streamlit as st

from pipeline.train_config import NEARLY_ALL
from workbench import state
from workbench.components import elements
from workbench.components.elements import count, counted, plain, shorten, spearman
from workbench.components.job_progress import is_live
from workbench.jobs.kinds import TrainSpec
from workbench.workspace import Workspace

_ENOUGH_SCORES = 3
"""Dev scores after which a run without progress is one."""
_POINTS = 250
_TOLD = timedelta(hours=1)
"""How long after its end a run is still told of on every page."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that is wrong: a few words for the sidebar, and sentences with what to do about it."""

    title: str
    text: str


def alerts(curve: pd.DataFrame, baseline: float | None) -> list[Alert]:
    """Return what is wrong with a run so far; baseline: dev score of the untrained encoder, if it is known."""
    found = []
    broken = curve[~np.isfinite(curve["loss"].astype(float))]
    if len(broken):
        step = count(broken["step"].iloc[0])
        found.append(Alert(f"Loss NaN at step {step}", f"The loss was NaN or infinite first in step {step}."))
    masked = curve[curve["masked_share"] >= NEARLY_ALL]
    if len(masked):
        most = masked["masked_share"].max()
        words = (
            f"{NEARLY_ALL:.0%} or more of the candidates were masked in {counted(len(masked), 'step')}, first in "
            f"step {count(masked['step'].iloc[0])}, at most {most:.1%}. That leaves little to learn from: raise φ."
        )
        found.append(Alert(f"{most:.0%} masked", words))
    dev = curve["dev_score"].dropna()
    if baseline is not None and len(dev) >= _ENOUGH_SCORES and dev.max() <= baseline:
        words = (
            f"None of {counted(len(dev), 'dev score')} is above the untrained encoder's {spearman(baseline)}: the "
            "run makes the encoder worse on this data. Try fewer steps, a lower learning rate or other triplets."
        )
        found.append(Alert("No progress", words))
    return found


def baseline_of(workspace: Workspace, run_id: str) -> float | None:
    """Return the untrained encoder's dev score of a run; None without dev data and for older runs."""
    found = elements.read_json(workspace.jobs.output(run_id, "baseline.json"))
    return None if found is None else float(found["score"])


def alerts_in_sidebar(workspace: Workspace) -> None:
    """Draw the alerts of runs that train or ended within the hour, each linked to its run."""
    since = (datetime.now(UTC) - _TOLD).isoformat()
    for job in workspace.jobs.of(TrainSpec):
        if not is_live(job) and (job.finished_at or "") < since:
            continue
        curve = workspace.store.runs.curve(job.job_id, most=_POINTS)
        for alert in alerts(curve, baseline_of(workspace, job.job_id)):
            st.page_link(
                elements.TRAIN,
                label=f":orange[**{plain(alert.title)}**] {plain(shorten(job.title, 24))}",
                icon=":material/warning:",
                query_params={state.TRAIN_VIEW: "Runs", state.RUN: job.job_id},
                help=plain(alert.text),
            )
