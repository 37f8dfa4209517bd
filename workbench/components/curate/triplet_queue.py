"""Deciding triplets one after the other, by key or by button; every press is stored before the next card shows."""

from dataclasses import asdict
from typing import Any

import streamlit as st

from pipeline.records import Side
from workbench.actions.decisions import queue
from workbench.components.curate.neighbours import neighbours
from workbench.components.curate.queue_buttons import EDITING, SKIPPED, buttons, decided, steps
from workbench.components.curate.queue_settings import QueueSettings
from workbench.components.curate.rule_sliders import current_rule
from workbench.components.curate.triplet_history import triplet_history
from workbench.components.curation_scope import Scope
from workbench.components.notice import empty_state
from workbench.components.triplet_card import triplet_card
from workbench.components.wording import count, percent
from workbench.workspace import Workspace


def triplet_queue(workspace: Workspace, scope: Scope, settings: QueueSettings) -> None:
    """Draw the card of the next triplet; only this part reruns on a decision."""
    st.fragment(_queue)(workspace, scope, settings)


def _queue(workspace: Workspace, scope: Scope, settings: QueueSettings) -> None:
    found = queue(
        workspace,
        annotator=settings.annotator,
        attempt_ids=scope.attempt_ids,
        order=settings.order,
        judge_id=scope.judge_id or "",
        rule=asdict(current_rule()),
        disputed=settings.disputed,
        triplet_ids=scope.triplet_ids,
        skipped=st.session_state.setdefault(SKIPPED, []),
    )
    left, total = found["left"], found["total"]
    if settings.disputed:
        st.progress(0.0, text=f"{count(left)} triplets on which annotators differ")
    else:
        st.progress(
            (total - left) / total if total else 0.0,
            text=f"{count(total - left)} of {count(total)} decided ({percent(total - left, total)})",
        )
    if not found["triplets"]:
        _done(workspace, left)
        return
    [triplet] = found["triplets"]
    if st.session_state.get(EDITING) == triplet["triplet_id"]:
        _edit(workspace, triplet, settings)
        return
    triplet_card(triplet, triplet["scores"])
    _offers(workspace, triplet, settings)
    if settings.disputed:
        _opinions(workspace, triplet["triplet_id"])
    buttons(workspace, triplet, settings)
    neighbours(workspace, scope, triplet)
    if not triplet["blind"]:
        triplet_history(workspace, triplet["triplet_id"])


def _done(workspace: Workspace, left: int) -> None:
    if left:
        empty_state(
            "The rest was skipped", hint=f"{count(left)} triplets wait for another look.", icon=":material/redo:"
        )
        if st.button("Show the skipped ones", type="primary"):
            st.session_state[SKIPPED] = []
            st.rerun(scope="fragment")
    else:
        empty_state("All decided", hint="Freeze a snapshot under Rule to train on them.", icon=":material/done_all:")
    with st.container(horizontal=True):
        steps(workspace)


def _offers(workspace: Workspace, triplet: dict[str, Any], settings: QueueSettings) -> None:
    """Show the newest side that was written anew for this triplet, to be taken with one key."""
    for other in workspace.store.triplets.regenerated(triplet["triplet_id"])[:1]:
        side = Side(other["origin"].split(":")[1])
        text = other[side]
        if other[f"{side}_outcome"] != "ok" or text == triplet[side]:
            st.caption(f"Written anew: {side.replace('_', ' ')} ended as {other[f'{side}_outcome']}, nothing new.")
            continue
        with st.container(horizontal=True, vertical_alignment="center", border=True):
            st.caption(f"Written anew, {side.replace('_', ' ')}")
            st.text(text)
            st.button(
                "Use it",
                shortcut="U",
                on_click=decided,
                args=(workspace, triplet["triplet_id"], settings, "edit"),
                kwargs={str(side): text},
                key="queue_use",
            )


def _opinions(workspace: Workspace, triplet_id: str) -> None:
    opinions = workspace.store.opinions.of()
    own = opinions[opinions["triplet_id"] == triplet_id]
    said = ", ".join(f"{row.annotator}: {row.action}" for row in own.itertuples())
    st.text(f"Annotators differ. {said}. The next decision settles it and leaves their opinions as they are.")


def _edit(workspace: Workspace, triplet: dict[str, Any], settings: QueueSettings) -> None:
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
        texts = {"positive": positive, "hard_negative": hard_negative}
        decided(workspace, triplet["triplet_id"], settings, "edit", **texts)
    if closed or (saved and complete):
        st.session_state.pop(EDITING, None)
        st.rerun(scope="fragment")
