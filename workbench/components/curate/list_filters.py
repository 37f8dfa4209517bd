"""The filters of the list, which other views set to show their rows, and the rule's sliders."""

from dataclasses import asdict
from typing import Any, Final

import streamlit as st

from pipeline.config import RULE_PRESETS, CurationRule
from pipeline.records import Outcome
from pipeline.settings import setting_of, settings_of
from workbench import state
from workbench.actions.curation import save_rule as save_rule_as
from workbench.components.elements import errors_shown
from workbench.components.settings_form import settings_form
from workbench.components.triplet_card import Scope
from workbench.store.files import MOST_RULE_NAME_CHARS, read_notes
from workbench.store.filters import TripletFilter
from workbench.workspace import Workspace

STEP: Final[float] = setting_of(CurationRule, "alpha").step or 0.05
_ANY: Final = "any"
_DECISIONS: Final = [_ANY, "undecided", "decided", "accept", "reject", "swap", "edit"]
_FULL: Final = (0.0, 5.0)


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
