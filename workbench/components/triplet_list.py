"""All triplets in rows, filtered, page by page."""

import streamlit as st

from pipeline.records import Outcome
from workbench.components.curation_scope import Scope
from workbench.components.triplet_rows import triplet_table
from workbench.components.wording import count
from workbench.store.filters import TripletFilter
from workbench.workspace import Workspace

_PAGE = 50
_ANY = "any"


def triplet_list(workspace: Workspace, scope: Scope) -> None:
    """Draw the filters, the count, and one page of rows."""
    chosen = _filters(scope)
    total = workspace.store.triplets.count(chosen)
    if not total:
        st.caption("No triplet matches these filters.")
        return
    cursors = _cursors(chosen)
    place = st.session_state.get("list_page", 0)
    place = min(place, len(cursors) - 1)
    rows = workspace.store.triplets.page(chosen, after=cursors[place], limit=_PAGE)
    triplet_table(rows, key="list_rows")
    first = place * _PAGE + 1
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Previous",
            icon=":material/chevron_left:",
            disabled=place == 0,
            key="list_back",
            on_click=_go,
            args=(place - 1,),
        )
        more = first + len(rows) - 1 < total
        if st.button("Next", icon=":material/chevron_right:", disabled=not more, key="list_next"):
            if place + 1 == len(cursors):
                cursors.append(int(rows.iloc[-1]["position"]))
            _go(place + 1)
            st.rerun()
        st.caption(f"{count(first)} to {count(first + len(rows) - 1)} of {count(total)}")


def _filters(scope: Scope) -> TripletFilter:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            "Text", key="list_text", placeholder="in any sentence", icon=":material/search:", on_change=_go, args=(0,)
        )
        outcome = st.selectbox("Outcome", [_ANY, *map(str, Outcome)], key="list_outcome", on_change=_go, args=(0,))
        decision = st.selectbox(
            "Decision",
            [_ANY, "undecided", "accept", "reject", "swap", "edit"],
            key="list_decision",
            on_change=_go,
            args=(0,),
        )
    return TripletFilter(
        attempt_ids=scope.attempt_ids,
        text=text.strip(),
        outcome="" if outcome == _ANY else outcome,
        decision="" if decision == _ANY else decision,
        judge_id=scope.judge_id or "",
    )


def _cursors(chosen: TripletFilter) -> list[int | None]:
    """Last row of each page seen so far, for keyset paging; another filter starts again."""
    kept = st.session_state.get("list_cursors")
    if not kept or kept[0] != chosen:
        st.session_state["list_cursors"] = kept = (chosen, [None])
        st.session_state["list_page"] = 0
    return kept[1]


def _go(place: int) -> None:
    st.session_state["list_page"] = place
