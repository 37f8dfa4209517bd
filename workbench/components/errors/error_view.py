"""The views of the error page: slices, residual map and one pair; two encoders on the same slices."""

import pandas as pd
import streamlit as st

from workbench import state
from workbench.components.encoder_change import encoder_change
from workbench.components.errors.pair_view import pair_view
from workbench.components.errors.residuals import residual_view
from workbench.components.errors.slice_actions import slice_actions
from workbench.components.predictions import load_pairs, pairs_path
from workbench.components.slice_view import ALL, TaskSlices, chosen_score, slice_picker, slice_summary, task_slices
from workbench.components.text import plain
from workbench.pair_slices import PairSlices
from workbench.workspace import Workspace

GONE = "The predictions behind this score are no longer in the workspace: evaluate again to see them."


def pairs_view(workspace: Workspace, scores: pd.DataFrame, encoder_id: str, task: str, name: str) -> None:
    """Draw slices, the residual map of the chosen one, its worst pair, and what can be done about it."""
    job_id = job_of(scores, encoder_id, task)
    pairs = load_pairs(workspace, job_id, task)
    if pairs is None:
        st.warning(GONE)
        return
    path = pairs_path(workspace, job_id, task)
    found = task_slices(str(path), path.stat().st_mtime, pairs, tuple(PairSlices(workspace.root).list(task)))
    left, centre, right = st.columns([4, 5, 4])
    with left:
        chosen = slice_picker(found)
    inside = pairs_of(found, chosen, pairs)
    with centre:
        slice_summary(chosen_score(found, chosen), len(pairs))
        listed, row = residual_view(inside, name=f"{job_id}_{task}_{chosen}")
    with right:
        if row is not None:
            pair_view(workspace, row, encoder_id=encoder_id, pairs_path=str(path))
    if len(listed):
        slice_actions(workspace, listed, origin=f"Errors: {task}, {chosen}, {name}", title=chosen, task=task)


def change_view(
    workspace: Workspace, scores: pd.DataFrame, encoder_id: str, task: str, titles: dict[str, str]
) -> None:
    """Draw what changes from a second encoder to the chosen one, on the task and on a slice."""
    others = [key for key in scores[scores["task"] == task]["encoder_id"].unique() if key != encoder_id]
    if not others:
        st.info("Evaluate a second encoder on this task to compare the two.", icon=":material/compare_arrows:")
        return
    left, right = st.columns(2)
    with left:
        other = str(state.pick("Compared with", others, name=state.BASELINE, names=titles))
    jobs = [job_of(scores, key, task) for key in (other, encoder_id)]
    before, after = (load_pairs(workspace, job, task) for job in jobs)
    if before is None or after is None:
        st.warning(GONE)
        return
    paths = [pairs_path(workspace, job, task) for job in jobs]
    stamps = [path.stat().st_mtime for path in paths]
    saved = tuple(PairSlices(workspace.root).list(task))
    found = task_slices(str(paths[1]), stamps[1], after, saved)
    with right:
        chosen = state.pick("Slice", [ALL, *found.members], name=state.SLICE)
    st.caption(plain(f"From {titles[other]} to {titles[encoder_id]}"))
    encoder_change(
        before,
        after,
        key=(str(paths[0]), stamps[0], str(paths[1]), stamps[1]),
        names=(titles[other], titles[encoder_id]),
        chosen=str(chosen),
        saved=saved,
    )


def job_of(scores: pd.DataFrame, encoder_id: str, task: str) -> str:
    """Job behind a score."""
    cell = scores[(scores["encoder_id"] == encoder_id) & (scores["task"] == task)]
    return str(cell["job_id"].iloc[0])


def pairs_of(found: TaskSlices, title: str, pairs: pd.DataFrame) -> pd.DataFrame:
    """Pairs of a slice by its title; all of them for ALL."""
    return pairs[found.members[title]] if title in found.members else pairs
