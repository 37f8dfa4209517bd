"""Deciding triplets one after the other, by key or by button; every press is stored before the next card shows."""

from dataclasses import asdict
from typing import Any

import streamlit as st

from pipeline.records import Side
from workbench import state
from workbench.actions.decisions import decide, queue, redo, undo
from workbench.actions.generation import start_regenerate
from workbench.components.curate.list_filters import current_rule
from workbench.components.curate.queue_settings import QueueSettings
from workbench.components.elements import ago, count, counted, empty_state, errors_shown, percent
from workbench.components.triplet_card import Scope, triplet_card
from workbench.results import latest_hygiene
from workbench.store.decisions import Action
from workbench.workspace import Workspace


def neighbours(workspace: Workspace, scope: Scope, triplet: dict[str, Any]) -> None:
    """Draw them behind a switch: they are looked up only while it is on."""
    if not st.toggle("Neighbours in the corpus", key="queue_neighbours"):
        return
    run = latest_hygiene(workspace, scope.attempt_ids)
    if run is None or not run.has_guide:
        st.caption("Look these triplets through under Hygiene with the guide first: that leaves the vectors needed.")
        return
    found = run.neighbours(triplet["triplet_id"], triplet["premise"])
    if found is None:
        st.caption("This premise came after the last look under Hygiene: look again.")
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
    st.caption(f"{counted(len(found), 'nearest premise')} by the guide, of {run.triplets:,} triplets.")


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


def triplet_history(workspace: Workspace, triplet_id: str) -> None:
    """Draw the history behind a button; without a decision, nothing."""
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
