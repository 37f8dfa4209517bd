"""The row above the queue (annotator, order, what to show), its guidelines, and the annotators' agreement."""

from dataclasses import dataclass
from itertools import combinations
from typing import get_args

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pipeline.statistics import cohen_kappa, krippendorff_alpha
from workbench import state
from workbench.actions.curation import save_guidelines
from workbench.actions.decisions import LONGEST_NAME
from workbench.components.curate.list_filters import current_rule
from workbench.components.elements import count, counted, empty_state, errors_shown
from workbench.components.triplet_card import Scope
from workbench.store.files import CurationNotes, read_notes
from workbench.store.filters import Order, Sorting
from workbench.workspace import Workspace

_ORDERS: dict[Order, str] = {
    "arrival": "In order of arrival",
    "border": "Nearest to the rule's border first",
    "disagreement": "Largest disagreement of judges first",
    "random": "Random",
    "gap_low": "Smallest gap first",
    "a_low": "Farthest positive first",
    "b_high": "Nearest hard negative first",
    "newest": "Newest first",
}
assert set(_ORDERS) <= set(get_args(Order))


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """The choices above the queue."""

    annotator: str
    order: Order
    disputed: bool
    """Whether the queue shows the triplets that annotators disagree on."""


def orders(scope: Scope) -> dict[Order, str]:
    """Return the orders that are possible, with their names; most need the scores of a judge."""
    return {key: name for key, name in _ORDERS.items() if scope.judge_id or key in ("arrival", "random", "newest")}


def sorting(scope: Scope, order: Order) -> Sorting:
    """Return an order with the judge and the rule that the page shows."""
    rule = current_rule()
    return Sorting(order, scope.judge_id or "", (rule.alpha, rule.beta, rule.gamma))


def queue_settings(workspace: Workspace, scope: Scope) -> QueueSettings:
    """Draw the row: annotator, order, what to show."""
    notes = read_notes(workspace.root)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        annotator = _annotator()
        names = orders(scope)
        order = st.selectbox("Order", list(names), format_func=names.__getitem__, key="queue_order")
        shown = st.segmented_control(
            "Show",
            ["Undecided", "Disputed"],
            default="Undecided",
            required=True,
            key="queue_shown",
            help="Disputed: annotators disagree and nobody has settled it.",
        )
        with st.popover("Guidelines and sharing", icon=":material/menu_book:"):
            _notes_form(workspace, notes)
    return QueueSettings(annotator, order, shown == "Disputed")


def beside_guidelines(workspace: Workspace) -> DeltaGenerator:
    """Draw the guidelines, if there are any; return the container for the cards beside them."""
    text = read_notes(workspace.root).guidelines
    if not text:
        return st.container()
    cards, notes = st.columns([3, 1], gap="medium")
    with notes.container(border=True):
        st.markdown(text)
    return cards


def _notes_form(workspace: Workspace, notes: CurationNotes) -> None:
    with st.form("notes"):
        text = st.text_area("Guidelines (Markdown)", notes.guidelines, height=200)
        share = st.slider(
            "Share of triplets that every annotator decides, blind to the others",
            0,
            100,
            round(notes.shared * 100),
            step=5,
            format="%d %%",
        )
        if st.form_submit_button("Save for everyone", type="primary"):
            with errors_shown():
                save_guidelines(workspace, guidelines=text, shared=share / 100)
                st.rerun()


def _annotator() -> str:
    if "queue_annotator" not in st.session_state:
        st.session_state["queue_annotator"] = state.annotator()
    typed = st.text_input(
        "Annotator",
        key="queue_annotator",
        max_chars=LONGEST_NAME,
        help="Decisions are stored under this name; undo and redo apply to them.",
    )
    name = " ".join(typed.split()) or "me"
    state.remember(state.ANNOTATOR, None if name == "me" else name)
    return name


def annotator_agreement(workspace: Workspace, scope: Scope) -> None:
    """Draw kappa for each pair of annotators, alpha over all, and the number of disputed triplets."""
    opinions = workspace.store.annotations.of(list(scope.attempt_ids))
    table = opinions.pivot(index="triplet_id", columns="annotator", values="action")
    shared = table[table.notna().sum(axis=1) > 1]
    if shared.empty:
        empty_state(
            "No triplet has several annotators yet",
            hint="Set a share under Queue, Guidelines and sharing: every annotator then decides those triplets.",
            icon=":material/group:",
        )
        return
    alpha = krippendorff_alpha([row.dropna().tolist() for _, row in shared.iterrows()])
    disputed = len(workspace.store.annotations.disputed(list(scope.attempt_ids)))
    first, second, third, fourth = st.columns(4)
    first.metric("Decided by several", count(len(shared)))
    between = pairs(shared)
    kappa = between["Cohen's kappa"].iat[0] if len(between) == 1 else "see below"
    second.metric("Cohen's kappa", kappa, help="For two annotators: 1 is full agreement, 0 is chance.")
    third.metric("Krippendorff's alpha", three_decimals(alpha), help="1 is full agreement, 0 is chance.")
    fourth.metric("Disputed", count(disputed), help="Settle them in the queue under Disputed.")
    st.dataframe(between, hide_index=True, alt="Agreement of annotators", placeholder="–")
    st.caption(f"Over {counted(len(table.columns), 'annotator')}; labels are accept, reject, swap and edit.")


def pairs(shared: pd.DataFrame) -> pd.DataFrame:
    """Return for each pair of annotators the triplets both decided, the share they agree on, and Cohen's kappa."""
    rows = []
    for first, second in combinations(shared.columns, 2):
        both = shared[[first, second]].dropna()
        if not both.empty:
            kappa = cohen_kappa(both[first].tolist(), both[second].tolist())
            same = float((both[first] == both[second]).mean())
            rows.append(
                {
                    "Annotators": f"{first} and {second}",
                    "Triplets": len(both),
                    "Agree on": f"{same:.0%}",
                    "Cohen's kappa": three_decimals(kappa),
                }
            )
    return pd.DataFrame(rows)


def three_decimals(value: float) -> str:
    """Return a dash for NaN."""
    return "–" if value != value else f"{value:.3f}"
