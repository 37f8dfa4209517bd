"""Curating a handful of triplets where they were found: one card after the other, and one decision for all."""

from collections.abc import Sequence

import streamlit as st

from workbench import state
from workbench.actions.decisions import decide, undo
from workbench.components.notice import empty_state, errors_shown
from workbench.components.triplet_card import triplet_card
from workbench.components.wording import counted
from workbench.store.decision import Action
from workbench.workspace import Workspace


def slice_queue(workspace: Workspace, triplet_ids: Sequence[str], *, key: str) -> None:
    """Draw the first triplet of the list that has no decision, with its buttons, and the buttons for all of them."""
    latest = workspace.store.decisions.latest()
    decided = set(latest["triplet_id"])
    skipped = st.session_state.setdefault(f"{key}_skipped", [])
    waiting = [triplet_id for triplet_id in triplet_ids if triplet_id not in decided]
    st.progress(
        1 - len(waiting) / len(triplet_ids) if triplet_ids else 0.0,
        text=f"{len(triplet_ids) - len(waiting)} of {counted(len(triplet_ids), 'selected triplet')} decided",
    )
    ahead = [triplet_id for triplet_id in waiting if triplet_id not in skipped]
    if ahead:
        with errors_shown():
            triplet = workspace.store.triplets.get(ahead[0])
            triplet_card(triplet, triplet["scores"])
        with st.container(horizontal=True):
            for label, action, icon in (
                ("Accept", "accept", ":material/check:"),
                ("Reject", "reject", ":material/close:"),
                ("Swap", "swap", ":material/swap_horiz:"),
            ):
                st.button(
                    label, icon=icon, on_click=_decide, args=(workspace, ahead[:1], action), key=f"{key}_{action}"
                )
            st.button("Skip", icon=":material/skip_next:", on_click=skipped.append, args=ahead[:1], key=f"{key}_skip")
            st.button("Undo", icon=":material/undo:", on_click=_undo, args=(workspace,), key=f"{key}_undo")
    else:
        hint = f"{counted(len(waiting), 'triplet')} skipped." if waiting else "Each selected triplet has a decision."
        empty_state("Nothing left to decide", hint=hint, icon=":material/done_all:")
        st.button("Undo", icon=":material/undo:", on_click=_undo, args=(workspace,), key=f"{key}_undo")
    if len(waiting) > 1:
        with st.container(horizontal=True):
            for label, action in (("Accept", "accept"), ("Reject", "reject")):
                st.button(
                    f"{label} all {len(waiting):,} undecided",
                    on_click=_decide,
                    args=(workspace, waiting, action),
                    key=f"{key}_{action}_all",
                )


def _decide(workspace: Workspace, triplet_ids: Sequence[str], action: Action) -> None:
    with errors_shown():
        decide(
            workspace,
            triplet_ids=triplet_ids,
            action=action,
            annotator=state.annotator(),
            reason="embedding map",
        )


def _undo(workspace: Workspace) -> None:
    with errors_shown():
        undo(workspace, annotator=state.annotator())
