"""Lists of suspicious triplets, each with its reason: read them, send them to the queue, or reject all of them."""

import pandas as pd
import streamlit as st

from pipeline.curation.hygiene import COPIES
from workbench import state
from workbench.actions.hygiene import reject_all
from workbench.components.notice import errors_shown
from workbench.components.to_curation import to_curation
from workbench.components.triplet_rows import triplet_table
from workbench.components.wording import count, counted
from workbench.hygiene_results import HygieneRun
from workbench.store.filters import TripletFilter
from workbench.workspace import Workspace

_SHOWN = 200
_SIDES = {"premise": "premise", "positive": "positive", "hard_negative": "hard negative"}


def leaked(workspace: Workspace, run: HygieneRun) -> None:
    """Triplets with a sentence of an evaluation set."""
    tasks = run.about["tasks"]
    if not tasks:
        st.info("Leakage was not checked: look again with your folder of evaluation sets.", icon=":material/info:")
        return
    table = run.table("leaks")
    table = table.assign(
        finding=[
            f"{_SIDES[row.side]} occurs in {row.task}: {row.sentence}"
            if row.similarity == 1
            else f"{_SIDES[row.side]} is {row.similarity:.0%} like one of {row.task}: {row.sentence}"
            for row in table.itertuples()
        ]
    )
    _findings(
        workspace, run, table, name="leaks", reason="in an evaluation set",
        none=f"No premise occurs in {', '.join(tasks)}, and no other sentence word for word.",
    )  # fmt: skip


def copied(workspace: Workspace, run: HygieneRun) -> None:
    """Triplets whose sides repeat each other."""
    table = run.table("copies")
    table = table.assign(finding=table["finding"].map(COPIES))
    _findings(workspace, run, table, name="copies", reason="copy", none="No side repeats another one.")


def closer(workspace: Workspace, run: HygieneRun) -> None:
    """Triplets whose hard negative is at least as close to the premise as the positive, by the guide."""
    table = run.table("closer").sort_values("near", kind="stable")
    cosines = zip(table["near"], table["far"], strict=True)
    table = table.assign(finding=[f"{near:.2f} to {far:.2f}" for near, far in cosines])
    st.caption("The guide's cosine of premise and positive is below that of premise and hard negative.")
    _findings(
        workspace, run, table, name="closer", reason="hard negative closer than positive",
        none="The guide finds every positive closer than the hard negative.",
    )  # fmt: skip


def _findings(
    workspace: Workspace, run: HygieneRun, table: pd.DataFrame, *, name: str, reason: str, none: str
) -> None:
    """Draw the triplets that are not rejected yet, with what can be done about all of them."""
    gone = workspace.store.decisions.rejected(table["triplet_id"].tolist())
    table = table[~table["triplet_id"].isin(gone)]
    ids = list(dict.fromkeys(table["triplet_id"]))
    if not ids:
        st.success(none if not gone else "All that were found are rejected.", icon=":material/check_circle:")
        return
    with st.container(horizontal=True):
        if st.button(
            f"Decide {counted(len(ids), 'triplet')} in the queue", icon=":material/style:", key=f"{name}_queue"
        ):
            to_curation(workspace, ids, name=f"Hygiene: {reason}", origin=f"{run.job_id}:{name}")
        st.button(
            f"Reject {counted(len(ids), 'triplet')}",
            icon=":material/delete_sweep:",
            key=f"{name}_reject",
            on_click=_reject,
            args=(workspace, ids, reason),
            help="One step: Undo takes all of it back.",
        )
    shown = table.head(_SHOWN)
    rows = workspace.store.triplets.rows(TripletFilter(triplet_ids=tuple(shown["triplet_id"].unique())))
    joined = shown[["triplet_id", "finding"]].merge(rows, on="triplet_id")
    triplet_table(joined, key=f"{name}_rows", first=("finding",))
    if len(table) > _SHOWN:
        st.caption(f"The first {count(_SHOWN)} of {count(len(table))}.")


def _reject(workspace: Workspace, ids: list[str], reason: str) -> None:
    with errors_shown():
        reject_all(workspace, triplet_ids=ids, reason=reason, annotator=state.annotator())
        st.toast(f"{counted(len(ids), 'triplet')} rejected. Undo takes it back.")
