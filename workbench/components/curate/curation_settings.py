"""What is chosen on Curate: rule, filters of the list, and the row above the queue; and the annotators' agreement."""

from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Final

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pipeline.config import RULE_PRESETS, CurationRule
from pipeline.curation.agreement import cohen_kappa, krippendorff_alpha
from pipeline.records import Outcome
from pipeline.settings import setting_of, settings_of
from workbench import state
from workbench.actions.curation import save_guidelines
from workbench.actions.curation import save_rule as save_rule_as
from workbench.actions.decisions import LONGEST_NAME
from workbench.components.elements import count, counted, empty_state, errors_shown
from workbench.components.settings_form import settings_form
from workbench.components.triplet_card import Scope
from workbench.store.files import MOST_RULE_NAME_CHARS, CurationNotes, read_notes
from workbench.store.filters import Order, Sorting, TripletFilter
from workbench.workspace import Workspace

STEP: Final[float] = setting_of(CurationRule, "alpha").step or 0.05
_ANY: Final = "any"
_DECISIONS: Final = [_ANY, "undecided", "decided", "accept", "reject", "swap", "edit"]
_FULL: Final = (0.0, 5.0)
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
    for name in ("text", "regex", "outcome", "decision", "source", "annotator", "duplicates", "a", "b", "rule"):
        st.session_state.pop(f"list_{name}", None)
    for name, value in values.items():
        st.session_state[f"list_{name}"] = value
    st.session_state["list_page"] = 0
    state.select(state.VIEW, "List")


def list_filters(workspace: Workspace, scope: Scope) -> TripletFilter:
    """Draw the filters; return the chosen ones."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input("Text", key="list_text", placeholder="in any sentence", icon=":material/search:")
        outcome = st.selectbox("Outcome", [_ANY, *map(str, Outcome)], key="list_outcome")
        decision = st.selectbox("Decision", _DECISIONS, key="list_decision")
        with st.popover("More filters", icon=":material/tune:"):
            more = _more(workspace, scope)
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
    return found


def current_rule() -> CurationRule:
    """Return the rule that the sliders show or last showed; views without sliders use it too."""
    shown = {name: st.session_state.get(f"rule_{name}") for name in settings_of(CurationRule)}
    return CurationRule(**{name: value for name, value in shown.items() if value is not None})


def set_rule(rule: CurationRule) -> None:
    """Move the sliders. For callbacks."""
    for name, value in asdict(rule).items():
        st.session_state[f"rule_{name}"] = round(value / STEP) * STEP


def rule_sliders(workspace: Workspace) -> CurationRule:
    """Draw presets and sliders; return the rule."""
    saved = read_notes(workspace.root).rules
    st.segmented_control("Start from", [*RULE_PRESETS, *saved], key="rule_preset", on_change=_use, args=(saved,))
    shown = asdict(current_rule())
    return CurationRule(**settings_form(CurationRule, list(shown), shown, key="rule", columns=1))


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
