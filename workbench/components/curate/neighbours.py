"""The nearest other premises of the triplet at hand, from the vectors that the last look at hygiene left."""

from typing import Any

import streamlit as st

from workbench.components.curation_scope import Scope
from workbench.components.wording import counted
from workbench.hygiene_results import latest_hygiene
from workbench.workspace import Workspace


def neighbours(workspace: Workspace, scope: Scope, triplet: dict[str, Any]) -> None:
    """Draw them behind a switch: they are looked up only while it is on."""
    if not st.toggle("Neighbours in the corpus", key="queue_neighbours"):
        return
    run = latest_hygiene(workspace, scope.attempt_ids)
    if run is None or not run.has_guide:
        st.caption("Look these triplets through under Hygiene with the guide first: that leaves the vectors needed.")
        return
    found = run.neighbours(triplet["triplet_id"], triplet["premise"])
    if found is None:
        st.caption("This premise came after the last look under Hygiene: look again.")
        return
    texts = [workspace.store.triplets.get(triplet_id) for triplet_id in found["triplet_id"]]
    st.dataframe(
        found[["cosine", "premise"]].assign(
            positive=[text["positive"] for text in texts], hard_negative=[text["hard_negative"] for text in texts]
        ),
        hide_index=True,
        alt="Neighbours of the premise",
        column_config={
            "cosine": st.column_config.NumberColumn("Cosine", format="%.2f", width="small"),
            "premise": "Premise",
            "positive": "Its positive",
            "hard_negative": "Its hard negative",
        },
    )
    st.caption(f"{counted(len(found), 'nearest premise')} by the guide, of {run.triplets:,} triplets.")
