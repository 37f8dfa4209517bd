"""What is chosen on Curate: rule, filters of the list, and the row above the queue; and the annotators' agreement."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from math import isfinite
from typing import Any, Final

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pipeline.config import RULE_PRESETS, CurationRule
from pipeline.records import Outcome
from pipeline.settings import setting_of, settings_of
from workbench import state
from workbench.actions.curation import save_guidelines
from workbench.actions.curation import save_rule as save_rule_as
from workbench.actions.decisions import LONGEST_NAME
from workbench.components.elements import errors_shown, plain
from workbench.components.settings_form import settings_form
from workbench.components.triplet_card import Scope
from workbench.store.files import MOST_RULE_NAME_CHARS, CurationNotes, read_notes
from workbench.store.filters import MARGIN, Order, Sorting, TripletFilter
from workbench.workspace import Workspace

STEP: Final[float] = setting_of(CurationRule, "alpha").step or 0.05
_ANY: Final = "any"
_DECISIONS: Final = [_ANY, "undecided", "decided", "accept", "reject", "swap", "edit"]
_FULL: Final = (0.0, 5.0)
_FILTERS: Final = (
    *("text", "regex", "outcome", "decision", "source", "annotator", "duplicates", "a", "b", "rule", "uncertain"),
)
UNCERTAIN: Final = "Uncertain"
_MARGIN: Final = "gate_margin"
_EMPTY: Final[dict[str, Any]] = {
    **dict.fromkeys(("text", "annotator"), ""),
    **dict.fromkeys(("outcome", "decision", "source"), _ANY),
    **dict.fromkeys(("a", "b"), _FULL),
}
"""What the fields of these filters show when they leave everything in."""
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


def open_list(**values: Any) -> None:
    """Show the list with only these filters: text, outcome, decision, a, b, rule. For callbacks."""
    state.select(state.FILTER, _written(values))
    st.session_state["list_page"] = 0
    state.select(state.VIEW, "List")


def open_queue(shown: str, order: Order) -> None:
    """Show the queue with these triplets in this order. For callbacks."""
    st.session_state["queue_shown"], st.session_state["queue_order"] = shown, order
    state.select(state.VIEW, "Queue")


def _written(values: Mapping[str, Any]) -> str:
    """Return filters as they stand in the address; empty without one."""
    used = {name: value for name, value in values.items() if value and value != _ANY and tuple(_pair(value)) != _FULL}
    return json.dumps(used, separators=(",", ":"), ensure_ascii=False) if used else ""


def _pair(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _read(text: str) -> dict[str, Any]:
    """Return the filters of an address; what makes no sense there is no filter."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    read: dict[str, Any] = {}
    for name, value in found.items():
        numbers = [one for one in _pair(value) if isinstance(one, int | float) and isfinite(one)]
        if name in ("text", "source", "annotator") and isinstance(value, str):
            read[name] = value
        elif (name == "outcome" and value in list(Outcome)) or (name == "decision" and value in _DECISIONS):
            read[name] = value
        elif name in ("regex", "duplicates") and value is True:
            read[name] = value
        elif name in ("a", "b") and len(numbers) == 2 and 0 <= numbers[0] <= numbers[1] <= _FULL[1]:
            read[name] = tuple(map(float, numbers))
        elif name == "rule" and len(numbers) == 4:
            read[name] = (*map(float, numbers[:3]), bool(numbers[3]))
        elif name == "uncertain" and len(numbers) == 4 and 0 <= numbers[3] <= _FULL[1]:
            read[name] = tuple(map(float, numbers))
    return read


def _follow_address() -> None:
    """Set the filters to those of the address, where they come from there or were not drawn before."""
    found = state.coming(state.FILTER)
    if found is None and "list_text" in st.session_state:
        return
    values = _read(state.recall(state.FILTER) or "" if found is None else found)
    for name in _FILTERS:
        st.session_state.pop(f"list_{name}", None)
        if name in values or name in _EMPTY:
            st.session_state[f"list_{name}"] = values.get(name, _EMPTY.get(name))


def list_filters(workspace: Workspace, scope: Scope) -> TripletFilter:
    """Draw the filters, which stand in the address; return the chosen ones."""
    _follow_address()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input("Text", key="list_text", placeholder="in any sentence", icon=":material/search:")
        outcome = st.selectbox("Outcome", [_ANY, *map(str, Outcome)], key="list_outcome")
        decision = st.selectbox("Decision", _DECISIONS, key="list_decision")
        with st.popover("More filters", icon=":material/tune:"):
            more = _more(workspace, scope)
    written = _written({name: st.session_state.get(f"list_{name}") for name in _FILTERS})
    if written != (state.recall(state.FILTER) or ""):
        state.remember(state.FILTER, written or None)
    is_pattern = more.pop("regex")
    words = text.strip()
    return TripletFilter(
        attempt_ids=scope.attempt_ids,
        text="" if is_pattern else words,
        pattern=words if is_pattern else "",
        outcome="" if outcome == _ANY else outcome,
        decision="" if decision == _ANY else decision,  # type: ignore[arg-type]
        judge_id=scope.judge_id or "",
        triplet_ids=scope.triplet_ids,
        **more,
    )


def _more(workspace: Workspace, scope: Scope) -> dict[str, Any]:
    found: dict[str, Any] = {"regex": st.toggle("Text is a regular expression", key="list_regex")}
    found["duplicates"] = st.toggle("Only exact duplicates", key="list_duplicates")
    sources = workspace.store.triplets.sources(list(scope.attempt_ids))
    if st.session_state.get("list_source") not in sources:
        st.session_state["list_source"] = _ANY
    source = st.selectbox("Source", [_ANY, *sources], key="list_source")
    found["source"] = "" if source == _ANY else source
    annotator = st.text_input("Annotator", key="list_annotator")
    found["annotator"] = annotator.strip()
    if scope.judge_id:
        for side, label in (("a", "a: premise and positive"), ("b", "b: premise and hard negative")):
            low, high = st.slider(label, *_FULL, _FULL, 0.05, key=f"list_{side}")
            found |= {f"{side}_min": low if low > 0 else None, f"{side}_max": high if high < _FULL[1] else None}
        rule = st.session_state.get("list_rule")
        if rule and st.checkbox(
            f"{'Lost' if rule[3] else 'Kept'} by α {rule[0]:g}, β {rule[1]:g}, γ {rule[2]:g}", True
        ):
            found |= {"rule": tuple(rule[:3]), "lost": rule[3]}
        near = st.session_state.get("list_uncertain")
        if near and st.checkbox(
            f"Within {near[3]:g} of α {near[0]:g}, β {near[1]:g}, γ {near[2]:g}, or judges differ", True
        ):
            found |= {"uncertain": tuple(near[:3]), "margin": near[3]}
    return found


def current_rule() -> CurationRule:
    """Return the rule that the sliders show or last showed, else that of the address; all views use it."""
    found = state.coming(state.RULE)
    if found is None and not any(f"rule_{name}" in st.session_state for name in settings_of(CurationRule)):
        found = state.recall(state.RULE)
    if found is not None:
        set_rule(_rule_from(found))
    shown = {name: st.session_state.get(f"rule_{name}") for name in settings_of(CurationRule)}
    return CurationRule(**{name: value for name, value in shown.items() if value is not None})


def _rule_from(text: str) -> CurationRule:
    """Return the rule of an address, 3,1.5,0.1; the default for anything else."""
    try:
        alpha, beta, gamma = (float(part) for part in text.split(","))
        return CurationRule(alpha, beta, gamma)
    except ValueError:
        return CurationRule()


def set_rule(rule: CurationRule) -> None:
    """Move the sliders. For callbacks."""
    for name, value in asdict(rule).items():
        st.session_state[f"rule_{name}"] = round(value / STEP) * STEP


def rule_sliders(workspace: Workspace) -> CurationRule:
    """Draw presets and sliders; return the rule."""
    saved = read_notes(workspace.root).rules
    presets = [*RULE_PRESETS, *saved]
    # Pills, as any number of saved rules breaks into lines where the column is narrow.
    st.pills("Start from", presets, format_func=plain, key="rule_preset", on_change=_use, args=(saved,), wrap=True)
    shown = asdict(current_rule())
    rule = CurationRule(**settings_form(CurationRule, list(shown), shown, key="rule", columns=1))
    written = "" if rule == CurationRule() else ",".join(f"{value:g}" for value in astuple(rule))
    if written != (state.recall(state.RULE) or ""):
        state.remember(state.RULE, written or None)
    return rule


def save_rule(workspace: Workspace, rule: CurationRule) -> None:
    """Draw the form that saves the rule under a name."""
    with st.popover("Save this rule", icon=":material/bookmark_add:"):
        name = st.text_input("Name", key="rule_name", max_chars=MOST_RULE_NAME_CHARS).strip()
        if st.button("Save", key="rule_save", disabled=not name or name in RULE_PRESETS):
            with errors_shown():
                save_rule_as(workspace, name=name, rule=asdict(rule))
                st.rerun()


def _use(saved: dict[str, CurationRule]) -> None:
    chosen = st.session_state.get("rule_preset")
    if chosen:
        set_rule((RULE_PRESETS | saved)[chosen])


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """The choices above the queue."""

    annotator: str
    order: Order
    disputed: bool
    """Whether the queue shows the triplets that annotators disagree on."""
    uncertain: float | None = None
    """Distance to the rule's border within which the queue shows triplets, or those on which judges differ."""


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
            ["Undecided", *([UNCERTAIN] if scope.judge_id else []), "Disputed"],
            default="Undecided",
            required=True,
            key="queue_shown",
            help="Uncertain: near the rule's border, or judges are at odds. Disputed: annotators disagree and nobody "
            "has settled it.",
            wrap=True,
        )
        with st.popover("Guidelines and sharing", icon=":material/menu_book:"):
            _notes_form(workspace, notes)
    margin = st.session_state.get(_MARGIN, MARGIN) if shown == UNCERTAIN else None
    return QueueSettings(annotator, order, shown == "Disputed", margin)


def review_margin() -> float:
    """Draw how near to the rule's border a triplet is uncertain; return it, on the scale 0 to 5."""
    return float(
        st.slider(
            "Uncertain within this distance of the rule",
            0.0,
            1.5,
            MARGIN,
            STEP,
            key=_MARGIN,
            persist_state="session",
            help="On the scale of scores, 0 to 5. The smallest of a triplet's three slacks counts.",
        )
    )


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
