"""Curate: judge triplets, set the rule, accept or reject single ones, freeze a snapshot."""

import streamlit as st

from workbench import shell, state
from workbench.components.curate.annotator_agreement import annotator_agreement
from workbench.components.curate.curation_settings import beside_guidelines, queue_settings
from workbench.components.curate.hygiene_view import hygiene_view
from workbench.components.curate.judges_view import judges_view
from workbench.components.curate.rule_view import judge_again, judging, rule_view
from workbench.components.curate.snapshot_list import snapshot_list
from workbench.components.curate.triplet_list import triplet_list
from workbench.components.curate.triplet_queue import triplet_queue
from workbench.components.elements import GENERATE, empty_state
from workbench.components.imports import import_button
from workbench.components.triplet_card import choose_scope

workspace = shell.begin("Curate")
runs = workspace.store.triplets.attempts()
if runs.empty:
    empty_state(
        "No triplets yet",
        hint="Curation starts from generated or imported triplets.",
        icon=":material/rule:",
        page=GENERATE,
        action="Generate triplets",
    )
    import_button(workspace, key="import_first")
    st.stop()

scope = choose_scope(workspace, runs)
is_judging = judging(workspace, scope)
with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
    view = state.tabs(["Rule", "Judges", "Queue", "List", "Hygiene", "Agreement", "Snapshots"], name=state.VIEW)
    if scope.judge_id is not None and not is_judging:
        judge_again(workspace, scope)
if view == "Rule":
    rule_view(workspace, scope)
elif view == "Judges":
    judges_view(workspace, scope)
elif view == "Queue":
    settings = queue_settings(workspace, scope)
    with beside_guidelines(workspace):
        triplet_queue(workspace, scope, settings)
elif view == "List":
    triplet_list(workspace, scope)
elif view == "Hygiene":
    hygiene_view(workspace, scope)
elif view == "Agreement":
    annotator_agreement(workspace, scope)
else:
    snapshot_list(workspace)
