"""From triplets found elsewhere to the queue of Curate, already filtered to them."""

from collections.abc import Sequence

import streamlit as st

from workbench import state
from workbench.actions.maps import save_slice
from workbench.components import links
from workbench.components.curation_scope import EVERY
from workbench.components.notice import errors_shown
from workbench.slices import Slices
from workbench.workspace import Workspace


def to_curation(workspace: Workspace, triplet_ids: Sequence[str], *, name: str, origin: str) -> None:
    """Save the triplets as a slice and open the queue on it; the link can be shared and opened again later."""
    slice_id = None
    with errors_shown():
        slice_id = _saved(workspace, tuple(triplet_ids), name=name, origin=origin)
    if slice_id is None:
        return
    wanted = {state.VIEW: "Queue", state.ATTEMPT: EVERY, state.AMONG: slice_id}
    state.select(state.ATTEMPT, EVERY)
    state.select(state.AMONG, slice_id)
    state.show_tab(state.VIEW, "Queue")
    st.switch_page(links.CURATE, query_params=wanted)


def _saved(workspace: Workspace, triplet_ids: tuple[str, ...], *, name: str, origin: str) -> str:
    """Id of a slice of these triplets from this place; the same selection is saved once."""
    for known in Slices(workspace.root).list():
        if known.origin == origin and known.triplet_ids == triplet_ids:
            return known.slice_id
    return str(save_slice(workspace, name=name, triplet_ids=triplet_ids, origin=origin)["slice_id"])
