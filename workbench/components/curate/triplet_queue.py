"""The queue: triplets decided one by one, by key or button; each decision is stored before the next card appears."""

from dataclasses import asdict
from typing import Any

import streamlit as st

from pipeline.records import InputError, Side, StorageError
from workbench.actions.decisions import decide, queue, redo, undo
from workbench.actions.generation import start_regenerate
from workbench.components.curate.curation_settings import QueueSettings, current_rule
from workbench.components.elements import ago, count, counted, empty_state, errors_shown, percent, plain
from workbench.components.triplet_card import Scope, step, triplet_card
from workbench.results import latest_hygiene
from workbench.store.decisions import Action
from workbench.workspace import Workspace

SKIPPED = "queue_skipped"
"""Session key: ids of the skipped triplets, in order."""
EDITING = "queue_editing"
"""Session key: id of the triplet being edited."""
REASONS = (
    "positive not entailed",
    "negative not contradicted",
    "too close to the premise",
    "broken language",
    "unfit",
)
"""Reasons for a rejection, on the keys 1 to 5."""


def triplet_queue(workspace: Workspace, scope: Scope, settings: QueueSettings) -> None:
    """Draw the next triplet as a fragment: a decision reruns only this part of the page."""
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
        uncertain=settings.uncertain,
        triplet_ids=scope.triplet_ids,
        skipped=st.session_state.setdefault(SKIPPED, []),
    )
    left, total = found["left"], found["total"]
    if settings.disputed:
        st.progress(0.0, text=f"{counted(left, 'disputed triplet')} left")
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
            "The rest was skipped", hint=f"{counted(left, 'triplet')} left to decide.", icon=":material/redo:"
        )
        if st.button("Show skipped triplets", type="primary"):
            st.session_state[SKIPPED] = []
            st.rerun(scope="fragment")
    else:
        empty_state("All decided", hint="Freeze a snapshot under Rule to train on them.", icon=":material/done_all:")
    with st.container(horizontal=True):
        undo_redo(workspace)


def _offers(workspace: Workspace, triplet: dict[str, Any], settings: QueueSettings) -> None:
    """Offer the newest regenerated side of this triplet."""
    for other in workspace.store.triplets.regenerated(triplet["triplet_id"])[:1]:
        side = Side(other["origin"].split(":")[1])
        text = other[side]
        if other[f"{side}_outcome"] != "ok" or text == triplet[side]:
            st.caption(f"Regenerated: {side.replace('_', ' ')}, outcome {other[f'{side}_outcome']}, nothing new.")
            continue
        with st.container(horizontal=True, vertical_alignment="center", border=True):
            st.caption(f"Regenerated {side.replace('_', ' ')}")
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
    opinions = workspace.store.annotations.of()
    own = opinions[opinions["triplet_id"] == triplet_id]
    decisions = ", ".join(f"{row.annotator}: {row.action}" for row in own.itertuples())
    st.text(f"Annotators disagree. {decisions}. Your decision settles it; their annotations are kept.")


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
        st.error("Both sentences need text. If one side cannot be corrected, reject the triplet instead.")
    if saved and complete:
        texts = {"positive": positive, "hard_negative": hard_negative}
        decided(workspace, triplet["triplet_id"], settings, "edit", **texts)
    if closed or (saved and complete):
        st.session_state.pop(EDITING, None)
        st.rerun(scope="fragment")


def buttons(workspace: Workspace, triplet: dict[str, Any], settings: QueueSettings) -> None:
    """Draw all decisions about a triplet, each with its key."""
    # Streamlit itself uses C and R, hence X for reject; Space would press the focused button.
    decision = (decided, workspace, triplet["triplet_id"], settings)
    with st.container(horizontal=True, gap="small"):
        _button("Accept", "A", ":material/check:", *decision, "accept", kind="primary")
        _button("Reject", "X", ":material/close:", *decision, "reject")
        _button("Swap", "S", ":material/swap_horiz:", *decision, "swap")
        _button("Edit", "E", ":material/edit:", _start_editing, triplet)
        _button("Skip", "N", ":material/skip_next:", _skip, triplet)
        undo_redo(workspace)
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
        st.caption("Regenerate", width="content")
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


def undo_redo(workspace: Workspace) -> None:
    """Draw undo and redo."""
    _button("Undo", "Z", ":material/undo:", step, workspace, undo)
    _button("Redo", "Y", ":material/redo:", step, workspace, redo)


def _button(label: str, key: str, icon: str, act: Any, *arguments: Any, kind: Any = "secondary") -> None:
    st.button(label, shortcut=key, icon=icon, type=kind, on_click=act, args=arguments, key=f"queue_{label.lower()}")


def decided(
    workspace: Workspace, triplet_id: str, settings: QueueSettings, action: Action, **texts_or_reason: str
) -> None:
    """Store a decision on the card that is shown; not if another tab has decided it meanwhile."""
    try:
        decide(
            workspace,
            triplet_ids=[triplet_id],
            action=action,
            annotator=settings.annotator,
            settles=settings.disputed,
            waiting=True,
            **texts_or_reason,
        )
    except (InputError, StorageError, OSError) as error:
        st.toast(plain(str(error)), icon=":material/error:", duration="long")


def _skip(triplet: dict[str, Any]) -> None:
    st.session_state[SKIPPED] = [*st.session_state.get(SKIPPED, []), triplet["triplet_id"]]


def _regenerate(workspace: Workspace, triplet: dict[str, Any], side: Side) -> None:
    """Start the job and skip the triplet; it comes back with the new sentence."""
    with errors_shown():
        start_regenerate(workspace, triplet_id=triplet["triplet_id"], side=str(side))
        _skip(triplet)


def _start_editing(triplet: dict[str, Any]) -> None:
    st.session_state[EDITING] = triplet["triplet_id"]


def triplet_history(workspace: Workspace, triplet_id: str) -> None:
    """Draw the history of decisions in a popover; nothing without one."""
    history = workspace.store.decisions.history(triplet_id)
    if history.empty:
        return
    with st.popover(f"History ({len(history)})", icon=":material/history:"):
        shown = history.assign(when=history["created_at"].map(ago))
        st.dataframe(
            shown[["when", "annotator", "step", "action", "reason", "positive", "hard_negative"]],
            hide_index=True,
            placeholder="as generated",
            alt="History of this triplet",
        )


def neighbours(workspace: Workspace, scope: Scope, triplet: dict[str, Any]) -> None:
    """Draw the nearest other premises; they are looked up only while the toggle is on."""
    if not st.toggle("Neighbours in the corpus", key="queue_neighbours"):
        return
    run = latest_hygiene(workspace, scope.attempt_ids)
    if run is None or not run.has_guide:
        st.caption("Check these triplets under Hygiene with the guide first; it computes the vectors needed here.")
        return
    found = run.neighbours(triplet["triplet_id"], triplet["premise"])
    if found is None:
        st.caption("This premise is newer than the last check under Hygiene: check again.")
        return
    texts = [workspace.store.triplets.get(triplet_id) for triplet_id in found["triplet_id"]]
    st.dataframe(
        found[["cosine", "premise"]].assign(
            positive=[text["positive"] for text in texts], hard_negative=[text["hard_negative"] for text in texts]
        ),
        hide_index=True,
        alt="Neighbours of the premise",
        column_config={
            "cosine": st.column_config.NumberColumn("Cosine", format="%.2f", width="small"),
            "premise": "Premise",
            "positive": "Its positive",
            "hard_negative": "Its hard negative",
        },
    )
    st.caption(f"{counted(len(found), 'nearest premise')} of {run.triplets:,} triplets, by the guide.")
