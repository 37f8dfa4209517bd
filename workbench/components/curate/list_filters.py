"""The filters of the list. Others may set them: a number or a cell of the plane leads to its rows."""

from typing import Any, Final

import streamlit as st

from pipeline.records import Outcome
from workbench import state
from workbench.components.curation_scope import Scope
from workbench.store.filters import TripletFilter
from workbench.workspace import Workspace

NONE_MATCHES: Final = "No triplet matches these filters."
_ANY: Final = "any"
_DECISIONS: Final = [_ANY, "undecided", "decided", "accept", "reject", "swap", "edit"]
_FULL: Final = (0.0, 5.0)


def open_list(**values: Any) -> None:
    """Show the list with these filters alone, by widget name: text, outcome, decision, a, b, rule. For callbacks."""
    for name in ("text", "regex", "outcome", "decision", "source", "annotator", "duplicates", "a", "b", "rule"):
        st.session_state.pop(f"list_{name}", None)
    for name, value in values.items():
        st.session_state[f"list_{name}"] = value
    st.session_state["list_page"] = 0
    state.remember(state.VIEW, "List")
    st.session_state[f"tabs_{state.VIEW}"] = "List"


def list_filters(workspace: Workspace, scope: Scope) -> TripletFilter:
    """Draw the filters and return what they ask for."""
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
