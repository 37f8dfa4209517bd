"""Starting judges on the chosen triplets, and their progress."""

import streamlit as st

from pipeline.curation.judges import EMBEDDED_JUDGES, LLM_KINDS, kinds_for
from pipeline.generation.llms.entries import EMBEDDED
from workbench import state, theme
from workbench.actions.judging import calibrated_judges, start_judge
from workbench.components.curation_scope import Scope, judge_name
from workbench.components.job_progress import job_strip
from workbench.components.notice import errors_shown
from workbench.jobs.kinds import JudgeSpec
from workbench.workspace import Workspace


def judging(workspace: Workspace, scope: Scope) -> None:
    """Offer to judge; a judge that runs, or has stopped half-way, shows its progress first."""
    if job_strip(
        workspace,
        JudgeSpec,
        key="judging",
        where=lambda spec: not set(spec.attempt_ids).isdisjoint(scope.attempt_ids),
    ):
        return
    if scope.judge_id is None:
        with st.container(border=True):
            st.markdown(
                "**Judge these triplets.** A judge scores premise and positive (a) and premise and hard negative (b) "
                "from 0, unrelated, to 5, the same meaning."
            )
            _start(workspace, scope, primary=True)
    else:
        with st.popover("Judge again", icon=":material/gavel:"):
            st.caption("A judge's new scores replace its earlier ones.")
            _start(workspace, scope, primary=False)


def _start(workspace: Workspace, scope: Scope, *, primary: bool) -> None:
    judges = st.pills(
        "Judges",
        judge_options(workspace),
        selection_mode="multi",
        default=list(EMBEDDED_JUDGES),
        format_func=judge_name,
        key="judges",
    )
    with st.expander("Calibration"):
        gold_dir = state.folder_input(
            "Folder with gold pairs (optional)",
            name=state.GOLD_FOLDER,
            help="Raw values become 0 to 5 by a curve that comes with the project. Name a folder with a -dev or "
            "-train file of STS pairs to fit the curve on those instead.",
        )
    if st.button(
        "Judge", type=theme.button_kind(primary), icon=":material/gavel:", disabled=not judges, key="start_judge"
    ):
        with errors_shown():
            start_judge(
                workspace, attempt_ids=list(scope.attempt_ids), judges=list(judges), gold_dir=gold_dir or None
            )
            state.select(state.JUDGE, judges[0])
            st.rerun()


def judge_options(workspace: Workspace) -> list[str]:
    """Return every judge that can be asked here: of the embedded models, of the registry's LLMs, and ensembles."""
    found = [*EMBEDDED_JUDGES, *(f"{kind}:{EMBEDDED}" for kind in LLM_KINDS)]
    for llm in workspace.store.llms.list():
        found += [f"{kind}:{llm.entry.name}" for kind in kinds_for(llm.entry) if llm.state != "failed"]
    return list(dict.fromkeys([*found, *calibrated_judges(workspace)]))
