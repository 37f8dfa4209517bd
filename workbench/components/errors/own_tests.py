"""Behavioural tests of one's own: adding one, and the list of those there are."""

import streamlit as st

from pipeline.evaluation.behaviour import CAPABILITIES, KIND_WORDS, Case, Kind
from workbench.actions.errors import add_behaviour_test, retract_behaviour_test
from workbench.components.notice import errors_shown
from workbench.components.text import plain
from workbench.components.wording import count
from workbench.own_tests import OwnTests
from workbench.workspace import Workspace

_THIRD: dict[Kind, str] = {
    "invariance": "The first sentence with the change",
    "directional": "The sentence that is farther",
}
"""What the third sentence is, where a kind needs one."""


def own_tests(workspace: Workspace) -> None:
    """Draw the two popovers."""
    with st.popover("Add a test", icon=":material/add:"):
        _form(workspace)
    tests = OwnTests(workspace.root).list()
    if tests:
        with st.popover(f"Own tests ({count(len(tests))})", icon=":material/checklist:"):
            for case in tests:
                _listed(workspace, case)


def _form(workspace: Workspace) -> None:
    kind: Kind = st.selectbox("Expectation", list(KIND_WORDS), key="own_test_kind")
    st.caption(KIND_WORDS[kind].capitalize() + ".")
    with st.form("own_test", border=False, clear_on_submit=True):
        capability = st.selectbox(
            "Capability",
            CAPABILITIES,
            index=None,
            accept_new_options=True,
            placeholder="Choose one or name a new one",
        )
        sentence = st.text_input("Sentence")
        other = st.text_input("Other sentence")
        third = st.text_input(_THIRD[kind]) if kind in _THIRD else ""
        if st.form_submit_button("Add the test", icon=":material/add:"):
            with errors_shown():
                fields = {"kind": kind, "sentence": sentence, "other": other, "third": third}
                added = add_behaviour_test(workspace, capability=capability or "", **fields)["added"]
                st.toast("Added: it takes part in the next run." if added else "This test is there already.")


def _listed(workspace: Workspace, case: Case) -> None:
    with st.container(border=True):
        st.caption(plain(f"{case.capability}, {case.kind}"))
        for text in (case.sentence, case.other, case.third):
            if text:
                st.markdown(plain(text))
        if st.button("Take it back", icon=":material/undo:", type="tertiary", key=f"retract_{case.case_id}"):
            with errors_shown():
                retract_behaviour_test(workspace, case_id=case.case_id)
                st.rerun()
