"""Deciding triplets one after the other, by key or by button; every press is stored before the next card shows."""

from typing import Any

import streamlit as st

from pipeline.records import Side
from workbench import state
from workbench.components.curation_scope import Scope
from workbench.components.notice import empty_state, errors_shown
from workbench.components.triplet_card import triplet_card
from workbench.components.wording import count, percent
from workbench.store.decision import Action, Decision
from workbench.store.filters import TripletFilter
from workbench.workspace import Workspace

_SKIPPED = "queue_skipped"
_EDITING = "queue_editing"


def triplet_queue(workspace: Workspace, scope: Scope) -> None:
    """Draw the card of the next undecided triplet; only this part reruns on a decision."""
    st.fragment(_queue)(workspace, scope)


def _queue(workspace: Workspace, scope: Scope) -> None:
    undecided = TripletFilter(attempt_ids=scope.attempt_ids, outcome="ok", decision="undecided")
    every = TripletFilter(attempt_ids=scope.attempt_ids, outcome="ok")
    left, total = workspace.store.triplets.count(undecided), workspace.store.triplets.count(every)
    st.progress(
        (total - left) / total if total else 0.0,
        text=f"{count(total - left)} of {count(total)} decided ({percent(total - left, total)})",
    )
    triplet = _next(workspace, undecided)
    if triplet is None:
        _done(workspace, left)
        return
    scores = workspace.store.triplets.get(triplet["triplet_id"])["scores"]
    if st.session_state.get(_EDITING) == triplet["triplet_id"]:
        _edit(workspace, triplet)
    else:
        triplet_card(triplet, scores)
        _buttons(workspace, triplet)


def _next(workspace: Workspace, undecided: TripletFilter) -> dict[str, Any] | None:
    skipped = st.session_state.setdefault(_SKIPPED, [])
    page = workspace.store.triplets.page(undecided, limit=len(skipped) + 1)
    waiting = page[~page["triplet_id"].isin(skipped)]
    return None if waiting.empty else waiting.iloc[0].to_dict()


def _done(workspace: Workspace, left: int) -> None:
    if left:
        empty_state(
            "The rest was skipped", hint=f"{count(left)} triplets wait for another look.", icon=":material/redo:"
        )
        if st.button("Show the skipped ones", type="primary"):
            st.session_state[_SKIPPED] = []
            st.rerun(scope="fragment")
    else:
        empty_state("All decided", hint="Freeze a snapshot under Rule to train on them.", icon=":material/done_all:")
    st.button("Undo", icon=":material/undo:", shortcut="Z", on_click=_undo, args=(workspace,), key="queue_undo")


def _buttons(workspace: Workspace, triplet: dict[str, Any]) -> None:
    # Streamlit keeps C and R for itself, so reject is X. Space would press whichever button has the focus.
    with st.container(horizontal=True):
        _button("Accept", "A", ":material/check:", _decide, workspace, triplet, "accept", kind="primary")
        _button("Reject", "X", ":material/close:", _decide, workspace, triplet, "reject")
        _button("Swap", "S", ":material/swap_horiz:", _decide, workspace, triplet, "swap")
        _button("Edit", "E", ":material/edit:", _start_editing, triplet)
        _button("Skip", "N", ":material/skip_next:", _skip, triplet)
        _button("Undo", "Z", ":material/undo:", _undo, workspace)


def _button(label: str, key: str, icon: str, act: Any, *arguments: Any, kind: Any = "secondary") -> None:
    st.button(label, shortcut=key, icon=icon, type=kind, on_click=act, args=arguments, key=f"queue_{label.lower()}")


def _decide(workspace: Workspace, triplet: dict[str, Any], action: Action) -> None:
    _append(workspace, Decision(triplet["triplet_id"], action, annotator=state.annotator()))


def _append(workspace: Workspace, decision: Decision) -> None:
    with errors_shown():
        workspace.store.decisions.append([decision])


def _undo(workspace: Workspace) -> None:
    with errors_shown():
        workspace.store.decisions.undo(state.annotator())


def _skip(triplet: dict[str, Any]) -> None:
    st.session_state[_SKIPPED] = [*st.session_state.get(_SKIPPED, []), triplet["triplet_id"]]


def _start_editing(triplet: dict[str, Any]) -> None:
    st.session_state[_EDITING] = triplet["triplet_id"]


def _edit(workspace: Workspace, triplet: dict[str, Any]) -> None:
    with st.form("queue_edit"):
        st.caption("Premise")
        st.text(triplet["premise"])
        positive = st.text_area("Positive", triplet[Side.POSITIVE], height=80)
        hard_negative = st.text_area("Hard negative", triplet[Side.HARD_NEGATIVE], height=80)
        with st.container(horizontal=True):
            saved = st.form_submit_button("Save", type="primary", shortcut="Ctrl+Enter")
            closed = st.form_submit_button("Close without saving", shortcut="Esc")
    complete = bool(positive.strip() and hard_negative.strip())
    if saved and not complete:
        st.error("Both sentences need text: reject the triplet instead if one side cannot be saved.")
    if saved and complete:
        decision = Decision(triplet["triplet_id"], "edit", positive, hard_negative, annotator=state.annotator())
        _append(workspace, decision)
    if closed or (saved and complete):
        st.session_state.pop(_EDITING, None)
        st.rerun(scope="fragment")
