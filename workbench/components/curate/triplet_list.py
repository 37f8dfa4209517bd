"""The list: triplets filtered, sorted and paged, and one decision for the selected ones or all that match."""

from dataclasses import asdict
from typing import Any

import streamlit as st

from workbench import state
from workbench.actions.decisions import decide, decide_all, redo, undo
from workbench.components.curate.curation_settings import list_filters, orders, sorting
from workbench.components.curate.triplet_queue import REASONS, triplet_history
from workbench.components.elements import count, counted, errors_shown
from workbench.components.triplet_card import WRAPPED_ROW, Scope, step, triplet_table
from workbench.store.decisions import BULK_ACTIONS
from workbench.store.filters import Sorting, TripletFilter
from workbench.workspace import Workspace

_PAGE = 50
_TABLE_PX = 620
_VERSION = "list_version"


def triplet_list(workspace: Workspace, scope: Scope) -> None:
    """Draw the filters, one page of rows, and above it the bar that decides the selected ones or all that match."""
    chosen = list_filters(workspace, scope)
    total = None
    with errors_shown():
        total = workspace.store.triplets.count(chosen)
    if total is None:
        return
    bar = st.container(horizontal=True, vertical_alignment="bottom", key="bulk_bar")  # app.css keeps it in sight
    with bar:
        order = _order(scope)
    marked: list[str] = []
    if total:
        marked = _rows(workspace, chosen, order, total)
    else:
        st.caption("No triplet matches these filters.")
    with bar:
        _bulk_bar(workspace, chosen, total, marked)


def _order(scope: Scope) -> Sorting:
    names = orders(scope)
    order = st.selectbox(
        "Order", list(names), format_func=names.__getitem__, key="list_order", on_change=_go, args=(0,), width=260
    )
    return sorting(scope, order)


def _rows(workspace: Workspace, chosen: TripletFilter, order: Sorting, total: int) -> list[str]:
    """Draw a page of rows; return the ids of the selected ones."""
    cursors = _cursors(chosen, order)
    place = min(st.session_state.get("list_page", 0), len(cursors) - 1)
    rows = workspace.store.triplets.sorted_page(chosen, order, after=cursors[place], limit=_PAGE)
    clicked = triplet_table(
        rows,
        key=f"list_rows_{_version()}",
        first=("premise", "decision"),
        selection="multi-row",
        row_height=WRAPPED_ROW,
        height=_TABLE_PX,
    )
    marked = [str(rows.iloc[row]["triplet_id"]) for row in clicked]
    if len(marked) == 1:
        triplet_history(workspace, marked[0])
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
                last = rows.iloc[-1]
                cursors.append((float(last["sort_key"]), int(last["position"])))
            _go(place + 1)
            st.rerun()
        st.caption(f"{count(first)} to {count(first + len(rows) - 1)} of {count(total)}")
    return marked


def _bulk_bar(workspace: Workspace, chosen: TripletFilter, total: int, marked: list[str]) -> None:
    """Draw the decisions on the selected rows, the one on all matches, undo and redo."""
    for action, icon in (("accept", ":material/check:"), ("reject", ":material/close:")):
        st.button(
            f"{action.capitalize()} {count(len(marked))} selected" if marked else f"{action.capitalize()} selected",
            icon=icon,
            disabled=not marked,
            key=f"marked_{action}",
            on_click=_decide,
            args=(workspace, action, {"triplet_ids": marked}, len(marked)),
        )
    # A key of its own after each step closes the popover.
    popover = f"bulk_{_version()}"
    with st.popover(
        f"Decide all {count(total)} matching", icon=":material/done_all:", disabled=not total, key=popover
    ):
        action = st.segmented_control(
            "Decision",
            BULK_ACTIONS,
            default="accept",
            required=True,
            key="bulk_action",
            format_func=str.capitalize,
            wrap=True,
        )
        reason = st.selectbox("Reason", ["", *REASONS], key="bulk_reason", accept_new_options=True)
        st.caption("A single step: Undo reverts all of it.")
        st.button(
            f"{str(action).capitalize()} {counted(total, 'triplet')}",
            type="primary",
            key="bulk_go",
            on_click=_decide,
            args=(workspace, action, {"filter": asdict(chosen), "expected": total, "reason": reason or ""}, total),
        )
    st.button("Undo", icon=":material/undo:", key="list_undo", on_click=step, args=(workspace, undo))
    st.button("Redo", icon=":material/redo:", key="list_redo", on_click=step, args=(workspace, redo))


def _decide(workspace: Workspace, action: Any, which: dict[str, Any], number: int) -> None:
    """Decide the named triplets or all of a filter as one step, and take the selection back."""
    with errors_shown():
        if "filter" in which:
            decide_all(workspace, action=action, annotator=state.annotator(), **which)
        else:
            decide(workspace, action=action, annotator=state.annotator(), **which)
        st.session_state[_VERSION] = _version() + 1
        st.toast(f"{counted(number, 'triplet')}: {action}. Undo reverts it.")


def _version() -> int:
    """Return how many steps this session took in the list: a table drawn after one has no row selected."""
    return int(st.session_state.get(_VERSION, 0))


def _cursors(chosen: TripletFilter, order: Sorting) -> list[tuple[float, int] | None]:
    """Return the last row of each page seen so far, for keyset paging; a new filter or order starts over."""
    kept: tuple[object, list[tuple[float, int] | None]] | None = st.session_state.get("list_cursors")
    if not kept or kept[0] != (chosen, order):
        st.session_state["list_cursors"] = kept = ((chosen, order), [None])
        st.session_state["list_page"] = 0
    return kept[1]


def _go(place: int) -> None:
    st.session_state["list_page"] = place
