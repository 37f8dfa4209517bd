"""The buttons under the card of a triplet, their keys, and what each press does."""

from typing import Any

import streamlit as st

from pipeline.records import Side
from workbench import state
from workbench.actions.regeneration import start_regenerate
from workbench.components.curate.queue_settings import QueueSettings
from workbench.components.notice import errors_shown
from workbench.store.decision import Action, Decision
from workbench.store.opinions import ADJUDICATED
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


def buttons(workspace: Workspace, triplet: dict[str, Any], settings: QueueSettings, is_blind: bool) -> None:
    """Draw every decision about a triplet, each with its key."""
    # Streamlit keeps C and R for itself, so reject is X. Space would press whichever button has the focus.
    decide = (_decide, workspace, triplet, settings, is_blind)
    with st.container(horizontal=True, gap="small"):
        _button("Accept", "A", ":material/check:", *decide, "accept", kind="primary")
        _button("Reject", "X", ":material/close:", *decide, "reject")
        _button("Swap", "S", ":material/swap_horiz:", *decide, "swap")
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
                on_click=_decide,
                args=(*decide[1:], "reject", reason),
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


def _decide(
    workspace: Workspace,
    triplet: dict[str, Any],
    settings: QueueSettings,
    is_blind: bool,
    action: Action,
    reason: str = "",
) -> None:
    reason = ADJUDICATED if settings.disputed else reason
    append(workspace, Decision(triplet["triplet_id"], action, annotator=settings.annotator, reason=reason), is_blind)


def append(workspace: Workspace, decision: Decision, is_blind: bool = False) -> None:
    """Store a decision; what is wrong with it is shown in its place."""
    with errors_shown():
        workspace.store.decisions.append([decision], blind=is_blind)


def _undo(workspace: Workspace) -> None:
    with errors_shown():
        workspace.store.decisions.undo(state.annotator())


def _redo(workspace: Workspace) -> None:
    with errors_shown():
        workspace.store.decisions.redo(state.annotator())


def _skip(triplet: dict[str, Any]) -> None:
    st.session_state[SKIPPED] = [*st.session_state.get(SKIPPED, []), triplet["triplet_id"]]


def _regenerate(workspace: Workspace, triplet: dict[str, Any], side: Side) -> None:
    """Start the job and go on: the triplet comes back among the skipped ones, with what was written."""
    with errors_shown():
        start_regenerate(workspace, triplet_id=triplet["triplet_id"], side=str(side))
        _skip(triplet)


def _start_editing(triplet: dict[str, Any]) -> None:
    st.session_state[EDITING] = triplet["triplet_id"]
