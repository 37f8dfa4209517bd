"""Embedding map: sentences in two dimensions."""

from pathlib import Path

import streamlit as st

from workbench import shell, state
from workbench.components.elements import GENERATE, empty_state
from workbench.components.encoder_comparison import encoder_names, scored_name
from workbench.components.map.sentence_map import (
    MapChoice,
    map_form,
    map_names,
    map_progress,
    quality_badges,
    read_map,
    sentence_map,
    sources,
)
from workbench.maps import task_of

_PICKER_PX = 440

workspace = shell.begin("Embedding map")
drawable = sources(workspace)
maps = workspace.store.projections.list()
if not drawable and maps.empty:
    empty_state(
        "No sentences to draw",
        hint="A map shows the sentences of a generation run, of a snapshot, or of a task with a score.",
        icon=":material/scatter_plot:",
        page=GENERATE,
        action="Generate triplets",
    )
    st.stop()

map_progress(workspace)
if maps.empty:
    with st.container(border=True):
        st.subheader("Draw a first map", icon=":material/scatter_plot:", anchor=False)
        st.caption("A map of a thousand triplets takes under a minute.")
        map_form(workspace, drawable)
    st.stop()

encoders = encoder_names(workspace)
names = map_names(workspace, maps, encoders, drawable)
head = st.container(horizontal=True, vertical_alignment="bottom")
with head:
    with st.container(width=_PICKER_PX):
        chosen = state.pick("Map", list(names), name=state.MAP, names=names)
    with st.popover("Draw another map", icon=":material/add:", disabled=not drawable):
        map_form(workspace, drawable)
row = maps.set_index("projection_id").loc[chosen]
path = Path(row["path"])
if path.exists():
    drawn = read_map(str(path), path.stat().st_mtime)
    attempts = {item.snapshot_id: item.attempt_ids for item in workspace.store.snapshots.list()}
    compared = [scored_name(item["encoder_id"], encoders) for item in drawn.encoders]
    choice = MapChoice(
        map_id=str(chosen),
        drawn=drawn,
        attempt_ids=attempts.get(row["corpus"], (row["corpus"],)),
        task=task_of(row["corpus"]),
        place_names=compared or [scored_name(row["encoder_id"], encoders)],
        quality=(row["trustworthiness"], row["neighbour_recall"]),
    )
    with head:
        quality_badges(choice)
    sentence_map(workspace, choice)
else:
    st.warning("The files of this map no longer exist: draw it again.")
