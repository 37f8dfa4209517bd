"""From premises to the final set as a row of numbers, each leading to its rows."""

from dataclasses import astuple
from typing import Any

import streamlit as st

from pipeline.config import CurationRule
from workbench.components.curate.list_filters import open_list
from workbench.components.curation_scope import Scope
from workbench.components.wording import count, percent
from workbench.workspace import Workspace


def funnel(workspace: Workspace, scope: Scope, rule: CurationRule) -> None:
    """Draw the funnel of the chosen attempts under this rule."""
    limits = astuple(rule)
    found = workspace.store.funnels.counts(list(scope.attempt_ids), str(scope.judge_id), limits)
    st.subheader("From premises to the final set", anchor=False)
    steps: list[tuple[str, str, str, dict[str, Any]]] = [
        ("Generated", "generated", f"of about {count(found['premises'])} premises", {}),
        ("Both sides ok", "ok", percent(found["ok"], found["generated"]), {"outcome": "ok"}),
        ("Kept by the rule", "kept", f"of {count(found['judged'])} judged", {"rule": (*limits, False)}),
        ("Rejected by people", "rejected", "whatever the rule says", {"decision": "reject"}),
        ("Changed by people", "changed", "edited or swapped", {"decision": "edit"}),
        ("Rescued by people", "rescued", "lost by the rule", {"decision": "decided", "rule": (*limits, True)}),
        (
            "Final set",
            "final",
            percent(found["final"], found["generated"]),
            {"outcome": "ok", "rule": (*limits, False)},
        ),
    ]
    with st.container(horizontal=True):
        for label, name, note, filters in steps:
            with st.container(border=True, width=126):
                st.caption(label)
                st.button(
                    count(found[name]), type="tertiary", key=f"funnel_{name}", on_click=open_list, kwargs=filters
                )
                st.caption(note)
