"""The pairs that a mask threshold takes for false negatives, to read and to judge."""

import numpy as np
import pandas as pd
import streamlit as st

from workbench import state, theme
from workbench.actions.hygiene import keep_one
from workbench.components.map import map_selection
from workbench.components.notice import errors_shown
from workbench.components.wording import count
from workbench.map_files import SentenceMap
from workbench.workspace import Workspace

_ROWS = 500


def pair_list(workspace: Workspace, map_id: str, drawn: SentenceMap, pairs: pd.DataFrame, *, phi: float) -> None:
    """List the masked pairs, those next to the threshold first, where its place matters."""
    masked = pairs[pairs["cosine"] > phi]
    guide = drawn.about.get("pairs", {}).get("guide", "")
    with st.expander(f"{count(len(masked))} pairs masked at φ = {phi:.3f} by {guide}", icon=":material/link:"):
        if masked.empty:
            st.caption("No pair exceeds this threshold.")
            return
        near = masked.iloc[::-1].head(_ROWS)
        frame = _readable(drawn, near)
        event = st.dataframe(
            frame,
            hide_index=True,
            height=300,
            key=f"map_pairs_{map_id}_{len(masked)}",
            on_select="rerun",
            selection_mode="single-row",
            alt="Masked pairs, weakest first",
            column_config={"Cosine": st.column_config.NumberColumn(format="%.3f", width="small")},
        )
        chosen = event.selection.rows
        if not chosen:
            st.caption("The weakest pairs come first: a threshold is right where they stop being duplicates.")
            return
        pair = near.iloc[chosen[0]]
        with st.container(horizontal=True):
            st.button(
                "Show on the map",
                icon=":material/my_location:",
                key=f"map_pair_show_{map_id}",
                on_click=_show,
                args=(map_id, int(pair["premise"]), int(pair["candidate"])),
            )
            st.button(
                "Mark as duplicates",
                icon=":material/content_copy:",
                key=f"map_pair_mark_{map_id}",
                help="Rejects the candidate's triplet as a duplicate of the premise's.",
                disabled=bool(pair["is_duplicate"]) or _same_triplet(drawn, pair),
                on_click=_mark,
                args=(workspace, drawn, int(pair["premise"]), int(pair["candidate"])),
            )


def _readable(drawn: SentenceMap, pairs: pd.DataFrame) -> pd.DataFrame:
    texts, roles = drawn.points["text"].to_numpy(), drawn.points["role"].to_numpy()
    return pd.DataFrame(
        {
            "Cosine": pairs["cosine"].to_numpy(),
            "Premise": texts[pairs["premise"]],
            "Masked candidate": texts[pairs["candidate"]],
            "Role": [theme.ROLE_NAMES.get(role, role) for role in roles[pairs["candidate"]]],
            "Duplicate": pairs["is_duplicate"].to_numpy(),
        }
    )


def _same_triplet(drawn: SentenceMap, pair: pd.Series) -> bool:
    ids = drawn.points["triplet_id"]
    return ids.iat[int(pair["premise"])] == ids.iat[int(pair["candidate"])]


def _show(map_id: str, premise: int, candidate: int) -> None:
    map_selection.select(map_id, np.array([premise, candidate]), note="A masked pair")
    map_selection.focus(map_id, premise)


def _mark(workspace: Workspace, drawn: SentenceMap, premise: int, candidate: int) -> None:
    first, second = (str(drawn.points["triplet_id"].iat[point]) for point in (premise, candidate))
    with errors_shown():
        keep_one(workspace, groups=[[first, second]], annotator=state.annotator())
