"""Hygiene of the chosen triplets: duplicates, leakage, copies, hard negatives closer than positives, masked pairs."""

import pandas as pd
import streamlit as st

from pipeline.curation.hygiene import COPIES
from pipeline.weights import BUILT_IN_ENCODERS
from workbench import state, theme
from workbench.actions.curation import reject_all, start_hygiene
from workbench.actions.decisions import undo
from workbench.components.curate.hygiene_duplicates import duplicates, masked
from workbench.components.elements import ago, count, counted, empty_state, errors_shown
from workbench.components.job_progress import job_strip
from workbench.components.place_picker import place_picker
from workbench.components.triplet_card import Scope, step, to_curation, triplet_table
from workbench.jobs.kinds import HygieneSpec
from workbench.results import HygieneRun, latest_hygiene
from workbench.store.filters import TripletFilter
from workbench.workspace import Workspace

_GUIDE = next(name for name in BUILT_IN_ENCODERS if "MiniLM" in name)
_SHOWN = 200
_SIDES = {"premise": "premise", "positive": "positive", "hard_negative": "hard negative"}


def hygiene_view(workspace: Workspace, scope: Scope) -> None:
    """Draw the findings of the last check with the decisions they call for, or the form that starts a check."""
    live = job_strip(
        workspace, HygieneSpec, key="hygiene", where=lambda spec: set(spec.attempt_ids) == set(scope.attempt_ids)
    )
    run = latest_hygiene(workspace, scope.attempt_ids)
    if run is None:
        if not live:
            empty_state(
                "Not checked yet",
                hint="A job finds duplicates, sentences of your evaluation sets, copies, and hard negatives "
                "that a guide places closer than the positive. It decides nothing.",
                icon=":material/cleaning_services:",
            )
            with st.container(width=640):
                _form(workspace, scope, primary=True)
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"{counted(run.triplets, 'triplet')} checked {ago(run.finished_at)}.", width="stretch")
        if not live:
            with st.popover("Check again", icon=":material/refresh:"):
                with st.container(width=640):
                    _form(workspace, scope, primary=False)
        st.button("Undo", icon=":material/undo:", key="hygiene_undo", on_click=step, args=(workspace, undo))
    _parts(workspace, scope, run)


def _parts(workspace: Workspace, scope: Scope, run: HygieneRun) -> None:
    names = {"Duplicates": "duplicates", "Leakage": "leaks", "Copies": "copies"}
    names |= {"Closer hard negatives": "closer"} if run.has_guide else {}
    found = {title: set(run.table(name)["triplet_id"]) for title, name in names.items()}
    gone = workspace.store.decisions.rejected(list(set().union(*found.values())))
    numbers = {title: len(ids - gone) for title, ids in found.items()}
    notes = {}
    if run.has_guide:
        numbers["Masked pairs"] = len(run.table("masked"))
        notes["Masked pairs"] = f" above {run.about['floor']:.2f}"
    part = st.segmented_control(
        "Finding",
        list(numbers),
        default="Duplicates",
        required=True,
        key="hygiene_part",
        label_visibility="collapsed",
        format_func=lambda name: f"{name} ({count(numbers[name])}{notes.get(name, '')})",
        wrap=True,
    )
    if part == "Duplicates":
        duplicates(workspace, scope, run)
    elif part == "Leakage":
        leaked(workspace, run)
    elif part == "Copies":
        copied(workspace, run)
    elif part == "Closer hard negatives":
        closer(workspace, run)
    else:
        masked(workspace, run)
    if not run.has_guide:
        st.caption("Checked without a guide: closer hard negatives and masked pairs need one.")


def _form(workspace: Workspace, scope: Scope, *, primary: bool) -> None:
    sts_dir = state.folder_input(
        "Folder of evaluation sets (optional)",
        name=state.STS_FOLDER,
        help="STS files, whose sentences must not be in the training set. Without it, leakage is not checked.",
    )
    threshold = st.slider(
        "Minimum similarity of near duplicates", 0.5, 1.0, 0.8, 0.05, key="hygiene_threshold",
        help="Share of four-letter sequences that two triplets have in common, over all three sentences.",
    )  # fmt: skip
    with_guide = st.checkbox(
        f"With the guide {_GUIDE}", True, key="hygiene_guide",
        help="Embeds every sentence once. For closer hard negatives, masked pairs and neighbours in the queue.",
    )  # fmt: skip
    on = place_picker(workspace, HygieneSpec)
    if st.button(
        "Check triplets", type=theme.button_kind(primary), icon=":material/cleaning_services:", key="hygiene_start"
    ):
        with errors_shown():
            start_hygiene(
                workspace,
                attempt_ids=list(scope.attempt_ids),
                sts_dir=sts_dir or None,
                guide=_GUIDE if with_guide else None,
                threshold=threshold,
                on=on,
            )
            st.rerun()


def leaked(workspace: Workspace, run: HygieneRun) -> None:
    """Draw triplets with a sentence of an evaluation set."""
    tasks = run.about["tasks"]
    if not tasks:
        st.info("Leakage was not checked. Check again with your folder of evaluation sets.", icon=":material/info:")
        return
    table = run.table("leaks")
    table = table.assign(
        finding=[
            f"{_SIDES[row.side]} occurs in {row.task}: {row.sentence}"
            if row.similarity == 1
            else f"{_SIDES[row.side]} is {row.similarity:.0%} similar to one in {row.task}: {row.sentence}"
            for row in table.itertuples()
        ]
    )
    _findings(
        workspace, run, table, name="leaks", reason="in an evaluation set",
        none=f"No premise is like a sentence in {', '.join(tasks)}, and no other sentence equals one.",
    )  # fmt: skip


def copied(workspace: Workspace, run: HygieneRun) -> None:
    """Draw triplets whose sides repeat each other or the premise."""
    table = run.table("copies")
    table = table.assign(finding=table["finding"].map(COPIES))
    _findings(workspace, run, table, name="copies", reason="copy", none="No side repeats another.")


def closer(workspace: Workspace, run: HygieneRun) -> None:
    """Draw triplets whose hard negative is at least as close to the premise as the positive, by the guide."""
    table = run.table("closer").sort_values("near", kind="stable")
    cosines = zip(table["near"], table["far"], strict=True)
    table = table.assign(finding=[f"{near:.2f} to {far:.2f}" for near, far in cosines])
    st.caption("According to the guide, the premise is closer to the hard negative than to the positive.")
    _findings(
        workspace, run, table, name="closer", reason="hard negative closer than positive",
        none="According to the guide, every positive is closer than its hard negative.",
    )  # fmt: skip


def _findings(
    workspace: Workspace, run: HygieneRun, table: pd.DataFrame, *, name: str, reason: str, none: str
) -> None:
    """Draw the triplets not rejected yet, with actions for all of them."""
    gone = workspace.store.decisions.rejected(table["triplet_id"].tolist())
    table = table[~table["triplet_id"].isin(gone)]
    ids = list(dict.fromkeys(table["triplet_id"]))
    if not ids:
        st.success(none if not gone else "All findings are rejected.", icon=":material/check_circle:")
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
            help="A single step: Undo reverts all of it.",
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
        st.toast(f"{counted(len(ids), 'triplet')} rejected. Undo reverts it.")
