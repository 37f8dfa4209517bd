"""Saved views of a map: what it is coloured by, its layers and filter, and the chosen sentence."""

from collections.abc import Sequence

import streamlit as st

from workbench import state
from workbench.actions.analysis import save_map_view
from workbench.components.elements import errors_shown
from workbench.components.map import map_actions
from workbench.maps import SentenceMap
from workbench.store.map_views import MapView, MapViews
from workbench.workspace import Workspace

COLOUR, LAYERS = "map_colour", "map_layers"


def filter_keys(map_id: str) -> tuple[str, str]:
    """Return the session keys of the filter: its text and its roles."""
    return f"map_filter_text_{map_id}", f"map_filter_roles_{map_id}"


def saved_views(workspace: Workspace, map_id: str, drawn: SentenceMap, layers: Sequence[str]) -> None:
    """Draw a field to save what the map shows, and the saved views to open one."""
    with st.form(f"map_view_form_{map_id}", border=False):
        name = st.text_input("Name of this view", key=f"map_view_name_{map_id}")
        if st.form_submit_button("Save", help="Colours, layers, filter and the chosen sentence."):
            with errors_shown():
                text, roles = (st.session_state.get(key) for key in filter_keys(map_id))
                save_map_view(
                    workspace,
                    name=name,
                    projection_id=map_id,
                    colour=str(st.session_state.get(COLOUR, "")),
                    layers=list(layers),
                    text=text or "",
                    roles=list(roles or ()),
                    triplet_id=state.recall(state.TRIPLET) or "",
                )
    saved = {view.name: view for view in MapViews(workspace.root).of(map_id)}
    if saved:
        chosen = st.selectbox("Saved view", list(saved), key=f"map_view_{map_id}")
        st.button("Open it", key=f"map_view_open_{map_id}", on_click=_open, args=(map_id, drawn, saved[chosen]))


def _open(map_id: str, drawn: SentenceMap, view: MapView) -> None:
    text, roles = filter_keys(map_id)
    st.session_state.update(
        {COLOUR: view.colour, LAYERS: list(view.layers), text: view.text, roles: list(view.roles)}
    )
    rows = drawn.rows_of.get(view.triplet_id)
    if rows is None:
        map_actions.choose(None)
    else:
        map_actions.focus(map_id, int(rows[0]))
        map_actions.choose_point(map_id, drawn, int(rows[0]))
