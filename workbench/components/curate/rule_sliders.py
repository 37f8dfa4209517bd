"""The three thresholds: sliders, presets and the team's saved rules. Other views read the same values."""

from dataclasses import asdict

import streamlit as st

from pipeline.config import RULE_PRESETS, CurationRule
from pipeline.settings import setting_of, settings_of
from workbench.actions.curation import save_rule as save_rule_as
from workbench.components.notice import errors_shown
from workbench.components.settings_form import settings_form
from workbench.curation_notes import MOST_RULE_NAME_CHARS, read_notes
from workbench.workspace import Workspace

STEP: float = setting_of(CurationRule, "alpha").step or 0.05


def current_rule() -> CurationRule:
    """The rule that the sliders show, or showed last: a view without them sorts by the same rule."""
    shown = {name: st.session_state.get(f"rule_{name}") for name in settings_of(CurationRule)}
    return CurationRule(**{name: value for name, value in shown.items() if value is not None})


def set_rule(rule: CurationRule) -> None:
    """Move the sliders; only before they are drawn, so from a callback."""
    for name, value in asdict(rule).items():
        st.session_state[f"rule_{name}"] = round(value / STEP) * STEP


def rule_sliders(workspace: Workspace) -> CurationRule:
    """Draw presets, sliders and saving; return the rule."""
    saved = read_notes(workspace.root).rules
    st.segmented_control("Start from", [*RULE_PRESETS, *saved], key="rule_preset", on_change=_use, args=(saved,))
    shown = asdict(current_rule())
    return CurationRule(**settings_form(CurationRule, list(shown), shown, key="rule", columns=1))


def save_rule(workspace: Workspace, rule: CurationRule) -> None:
    """Draw the form that keeps the rule under a name."""
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
