"""What spoils the chosen triplets: duplicates, test sentences, copies, hard negatives that are none, masked pairs."""

import streamlit as st

from pipeline.names import BUILT_IN_ENCODERS
from workbench import state, theme
from workbench.actions.decisions import undo
from workbench.actions.hygiene import start_hygiene
from workbench.components.curate.hygiene_duplicates import duplicates
from workbench.components.curate.hygiene_findings import closer, copied, leaked
from workbench.components.curate.hygiene_masked import masked
from workbench.components.curation_scope import Scope
from workbench.components.job_progress import job_strip
from workbench.components.notice import empty_state, errors_shown
from workbench.components.wording import ago, count, counted
from workbench.hygiene_results import HygieneRun, latest_hygiene
from workbench.jobs.kinds import HygieneSpec
from workbench.workspace import Workspace

_GUIDES = [name for name in BUILT_IN_ENCODERS if "MiniLM" in name]


def hygiene_view(workspace: Workspace, scope: Scope) -> None:
    """Draw what the last look found, with a decision beside each finding; without one, the form that starts it."""
    live = job_strip(
        workspace, HygieneSpec, key="hygiene", where=lambda spec: set(spec.attempt_ids) == set(scope.attempt_ids)
    )
    run = latest_hygiene(workspace, scope.attempt_ids)
    if run is None:
        if not live:
            empty_state(
                "Not looked through yet",
                hint="A job looks for duplicates, sentences of your evaluation sets, copies, and hard negatives that "
                "a guide finds closer than the positive. It decides nothing.",
                icon=":material/cleaning_services:",
            )
            _form(workspace, scope, primary=True)
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"{counted(run.triplets, 'triplet')} looked through {ago(run.finished_at)}.", width="stretch")
        if not live:
            with st.popover("Look again", icon=":material/refresh:"):
                _form(workspace, scope, primary=False)
        st.button("Undo", icon=":material/undo:", key="hygiene_undo", on_click=_undo, args=(workspace,))
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
        st.caption("This look had no guide: look again with one for closer hard negatives and masked pairs.")


def _form(workspace: Workspace, scope: Scope, *, primary: bool) -> None:
    sts_dir = state.folder_input(
        "Folder of evaluation sets (optional)",
        name=state.STS_FOLDER,
        help="STS files; their sentences must not be trained on. Without it leakage is not checked.",
    )
    threshold = st.slider(
        "Near duplicates share at least this much", 0.5, 1.0, 0.8, 0.05, key="hygiene_threshold",
        help="Share of four-letter sequences in common, over all three sentences.",
    )  # fmt: skip
    with_guide = st.checkbox(
        "With the guide all-MiniLM-L6-v2", True, key="hygiene_guide",
        help="Embeds every sentence once: closer hard negatives, masked pairs, neighbours in the queue.",
    )  # fmt: skip
    if st.button(
        "Look through", type=theme.button_kind(primary), icon=":material/cleaning_services:", key="hygiene_start"
    ):
        with errors_shown():
            start_hygiene(
                workspace,
                attempt_ids=list(scope.attempt_ids),
                sts_dir=sts_dir or None,
                guide=_GUIDES[0] if with_guide else None,
                threshold=threshold,
            )
            st.rerun()


def _undo(workspace: Workspace) -> None:
    with errors_shown():
        if undo(workspace, annotator=state.annotator())["batch_id"] is None:
            st.toast("Nothing to undo.")
