"""The buttons under the card of a triplet, their keys, and what each press does."""

from typing import Any

import streamlit as st

from pipeline.records import Side
from workbench import state
from workbench.actions.decisions import decide, redo, undo
from workbench.actions.regeneration import start_regenerate
from workbench.components.curate.queue_settings import QueueSettings
from workbench.components.notice import errors_shown
from workbench.store.decision import Action
from workbench.workspace import Workspace

SKIPPED = "queue_skipped"
"""Session key: the triplets that were put off, in order."""
EDITING = "queue_editing"
"""Session key: the triplet whose form is open."""
REASONS = (
    "positive not entailed",
    "negative not contradicted",
    "too close to the premise",
    "broken language",
    "unfit",
)
"""Why people reject, on the keys 1 to 5."""


def buttons(workspace: Workspace, triplet: dict[str, Any], settings: QueueSettings) -> None:
    """Draw every decision about a triplet, each with its key."""
    # Streamlit keeps C and R for itself, so reject is X. Space would press whichever button has the focus.
    decision = (decided, workspace, triplet["triplet_id"], settings)
    with st.container(horizontal=True, gap="small"):
        _button("Accept", "A", ":material/check:", *decision, "accept", kind="primary")
        _button("Reject", "X", ":material/close:", *decision, "reject")
        _button("Swap", "S", ":material/swap_horiz:", *decision, "swap")
        _button("Edit", "E", ":material/edit:", _start_editing, triplet)
        _button("Skip", "N", ":material/skip_next:", _skip, triplet)
        steps(workspace)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption("Reject because", width="content")
        for number, reason in enumerate(REASONS, start=1):
            st.button(
                reason.capitalize(),
                shortcut=str(number),
                type="tertiary",
                on_click=decided,
                args=(*decision[1:], "reject"),
                kwargs={"reason": reason},
                key=f"queue_reason_{number}",
            )
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption("Write anew", width="content")
        for label, key, side in (("Positive", "P", Side.POSITIVE), ("Hard negative", "G", Side.HARD_NEGATIVE)):
            st.button(
                label,
                shortcut=key,
                icon=":material/autorenew:",
                type="tertiary",
                on_click=_regenerate,
                args=(workspace, triplet, side),
                key=f"queue_anew_{side}",
            )


def steps(workspace: Workspace) -> None:
    """Draw undo and redo."""
    _button("Undo", "Z", ":material/undo:", _undo, workspace)
    _button("Redo", "Y", ":material/redo:", _redo, workspace)


def _button(label: str, key: str, icon: str, act: Any, *arguments: Any, kind: Any = "secondary") -> None:
    st.button(label, shortcut=key, icon=icon, type=kind, on_click=act, args=arguments, key=f"queue_{label.lower()}")


def decided(
    workspace: Workspace, triplet_id: str, settings: QueueSettings, action: Action, **texts_or_reason: str
) -> None:
    """Store a decision; what is wrong with it is shown in its place."""
    with errors_shown():
        decide(
            workspace,
            triplet_ids=[triplet_id],
            action=action,
            annotator=settings.annotator,
            settles=settings.disputed,
            **texts_or_reason,
        )


def _undo(workspace: Workspace) -> None:
    with errors_shown():
        undo(workspace, annotator=state.annotator())


def _redo(workspace: Workspace) -> None:
    with errors_shown():
        redo(workspace, annotator=state.annotator())


def _skip(triplet: dict[str, Any]) -> None:
    st.session_state[SKIPPED] = [*st.session_state.get(SKIPPED, []), triplet["triplet_id"]]


def _regenerate(workspace: Workspace, triplet: dict[str, Any], side: Side) -> None:
    """Start the job and go on: the triplet comes back among the skipped ones, with what was written."""
    with errors_shown():
        start_regenerate(workspace, triplet_id=triplet["triplet_id"], side=str(side))
        _skip(triplet)


def _start_editing(triplet: dict[str, Any]) -> None:
    st.session_state[EDITING] = triplet["triplet_id"]
