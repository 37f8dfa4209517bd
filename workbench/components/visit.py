"""The guided visit: six steps on the sample, one card on every page until the last step or until it is skipped."""

from dataclasses import dataclass, field
from typing import Final

import streamlit as st

from workbench import state
from workbench.actions import call
from workbench.actions.visit import set_visit, visit_step
from workbench.components import elements
from workbench.components.elements import errors_shown
from workbench.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Step:
    """A step: where it is, what there is to see, and what to try."""

    title: str
    words: str
    page: str
    on: str
    """Title of the page."""
    query: dict[str, str] = field(default_factory=dict)


STEPS: Final = (
    Step(
        "What there is",
        "Five boxes, from premises to the best encoder, each with its count and its next action. The sample has "
        "premises and triplets; the other boxes fill as you go.",
        elements.HOME,
        "Home",
    ),
    Step(
        "How a reply is contrasted",
        "A recorded reply. Each token is the best one under the instruction, less what the opposite instruction "
        "wants as well. Choose a token to see both, and move ω; then record a reply of your own.",
        elements.GENERATE,
        "Generate",
        {state.GENERATE_VIEW: "Contrast", state.CONTRAST: "Lens"},
    ),
    Step(
        "What is kept",
        "A judge has scored both sides of every triplet. Drag a line of the plane: the count and the triplets at the "
        "border follow. Then freeze what the rule keeps as a snapshot.",
        elements.CURATE,
        "Curate",
        {state.VIEW: "Rule"},
    ),
    Step(
        "What people decide",
        "One triplet at a time: A accepts, X rejects, Z takes it back. A decision outranks the rule in every "
        "snapshot frozen later. The key ? lists all keys.",
        elements.CURATE,
        "Curate",
        {state.VIEW: "Queue"},
    ),
    Step(
        "Train",
        "Choose the snapshot and start. The first run on a snapshot embeds its texts with the guide, which takes "
        "minutes on two cores; the sidebar of every page follows it.",
        elements.TRAIN,
        "Train",
        {state.TRAIN_VIEW: "New run"},
    ),
    Step(
        "Score it, and look at its errors",
        "Give a folder with STS tasks, or pairs of your own with scores, and evaluate the new encoder beside the one "
        "it began from. Errors then lists the pairs that it ranks wrongly, and leads back to premises.",
        elements.EVALUATE,
        "Evaluate",
    ),
)


def begin_visit(workspace: Workspace) -> None:
    """Begin with the first step, and go there."""
    _go(workspace, 1)


def offer_visit(workspace: Workspace) -> None:
    """Begin the visit unless it has been begun or closed before in this workspace."""
    if visit_step(workspace.root) is None:
        set_visit(workspace, step=1)


def visit_card(workspace: Workspace, title: str) -> None:
    """Draw the step of the visit on the page with this title; nothing when there is no visit, or for annotators."""
    number = visit_step(workspace.root)
    if not number or number > len(STEPS) or call.role_of_caller() != "owner":
        return
    step, is_last = STEPS[number - 1], number == len(STEPS)
    with st.container(border=True, key="visit", gap="xsmall"):
        st.markdown(f":blue-badge[{number} of {len(STEPS)}] **{step.title}**")
        st.markdown(step.words)
        with st.container(horizontal=True):
            if step.on != title:
                if st.button("Show me", type="primary", icon=":material/arrow_forward:", key="visit_show"):
                    _go(workspace, number)
            elif st.button("Done" if is_last else "Next", type="primary", key="visit_next"):
                _close(workspace) if is_last else _go(workspace, number + 1)
            if number > 1 and st.button("Back", key="visit_back"):
                _go(workspace, number - 1)
            if not is_last and st.button("Skip the visit", type="tertiary", key="visit_skip"):
                _close(workspace)


def _go(workspace: Workspace, number: int) -> None:
    with errors_shown():
        set_visit(workspace, step=number)
        step = STEPS[number - 1]
        for name, value in step.query.items():
            state.select(name, value)
        st.switch_page(step.page, query_params=step.query)


def _close(workspace: Workspace) -> None:
    with errors_shown():
        set_visit(workspace, step=0)
        st.rerun()
