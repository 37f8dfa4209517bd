"""The list: triplets filtered, sorted and paged, and one decision for all that match."""

from dataclasses import asdict
from typing import Any

import streamlit as st

from workbench import state
from workbench.actions.decisions import decide_all, redo, undo
from workbench.components.curate.curation_settings import list_filters, orders, sorting
from workbench.components.curate.triplet_queue import REASONS, triplet_history
from workbench.components.elements import count, counted, errors_shown
from workbench.components.triplet_card import WRAPPED_ROW, Scope, step, triplet_table
from workbench.store.decisions import BULK_ACTIONS
from workbench.store.filters import Sorting, TripletFilter
from workbench.workspace import Workspace

_PAGE = 50
_TABLE_PX = 620


def triplet_list(workspace: Workspace, scope: Scope) -> None:
    """Draw the filters, the bulk bar, and one page of rows."""
    chosen = list_filters(workspace, scope)
    total = None
    with errors_shown():
        total = workspace.store.triplets.count(chosen)
    if total is None:
        return
    order = _bulk_bar(workspace, scope, chosen, total)
    if not total:
        st.caption("No triplet matches these filters.")
        return
    _rows(workspace, chosen, order, total)


def _order(scope: Scope) -> Sorting:
    names = orders(scope)
    order = st.selectbox(
        "Order", list(names), format_func=names.__getitem__, key="list_order", on_change=_go, args=(0,)
    )
    return sorting(scope, order)


def _rows(workspace: Workspace, chosen: TripletFilter, order: Sorting, total: int) -> None:
    cursors = _cursors(chosen, order)
    place = min(st.session_state.get("list_page", 0), len(cursors) - 1)
    rows = workspace.store.triplets.sorted_page(chosen, order, after=cursors[place], limit=_PAGE)
    clicked = triplet_table(
        rows,
        key="list_rows",
        first=("premise", "decision"),
        selectable=True,
        row_height=WRAPPED_ROW,
        height=_TABLE_PX,
    )
    if clicked is not None:
        triplet_history(workspace, str(rows.iloc[clicked]["triplet_id"]))
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


def _bulk_bar(workspace: Workspace, scope: Scope, chosen: TripletFilter, total: int) -> Sorting:
    """Draw the decision for all matches, undo, redo and the order of the rows; return the order."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        with st.popover(f"Decide all {count(total)} matching", icon=":material/done_all:", disabled=not total):
            action = st.segmented_control(
                "Decision",
                BULK_ACTIONS,
                default="accept",
                required=True,
                key="bulk_action",
                format_func=str.capitalize,
            )
            reason = st.selectbox("Reason", ["", *REASONS], key="bulk_reason", accept_new_options=True)
            st.caption("A single step: Undo reverts all of it.")
            st.button(
                f"{str(action).capitalize()} {counted(total, 'triplet')}",
                type="primary",
                key="bulk_go",
                on_click=_decide_all,
                args=(workspace, chosen, action, reason or "", total),
            )
        st.button("Undo", icon=":material/undo:", key="list_undo", on_click=step, args=(workspace, undo))
        st.button("Redo", icon=":material/redo:", key="list_redo", on_click=step, args=(workspace, redo))
        return _order(scope)


def _decide_all(workspace: Workspace, chosen: TripletFilter, action: Any, reason: str, total: int) -> None:
    with errors_shown():
        decide_all(
            workspace,
            filter=asdict(chosen),
            action=action,
            annotator=state.annotator(),
            reason=reason,
            expected=total,
        )
        st.toast(f"{counted(total, 'triplet')}: {action}. Undo reverts it.")


def _cursors(chosen: TripletFilter, order: Sorting) -> list[tuple[float, int] | None]:
    """Return the last row of each page seen so far, for keyset paging; a new filter or order starts over."""
    kept: tuple[object, list[tuple[float, int] | None]] | None = st.session_state.get("list_cursors")
    if not kept or kept[0] != (chosen, order):
        st.session_state["list_cursors"] = kept = ((chosen, order), [None])
        st.session_state["list_page"] = 0
    return kept[1]


def _go(place: int) -> None:
    st.session_state["list_page"] = place
