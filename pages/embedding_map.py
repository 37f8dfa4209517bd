"""Embedding map: sentences in two dimensions."""

from pathlib import Path

import streamlit as st

from workbench import shell, state
from workbench.components import links
from workbench.components.encoder_names import encoder_names, scored_name
from workbench.components.map_form import map_form, sources
from workbench.components.notice import empty_state
from workbench.components.sentence_map import read_points, sentence_map

workspace = shell.begin("Embedding map")
drawable = sources(workspace)
if not drawable:
    empty_state(
        "No sentences to draw",
        hint="A map shows the sentences of an attempt or a snapshot.",
        icon=":material/scatter_plot:",
        page=links.GENERATE,
        action="Generate triplets",
    )
    st.stop()

map_form(workspace, drawable)
maps = workspace.store.projections.list()
if maps.empty:
    empty_state(
        "No map yet",
        hint="Choose an encoder and sentences above; a map of a thousand triplets takes under a minute.",
        icon=":material/scatter_plot:",
    )
    st.stop()

encoders = encoder_names(workspace)
names = {
    row.projection_id: " · ".join(
        [scored_name(row.encoder_id, encoders), drawable.get(row.corpus, row.corpus), row.method.upper()]
    )
    for row in maps.itertuples()
}
chosen = state.pick("Map", list(names), name=state.PROJECTION, names=names, visible_label=False)
row = maps.set_index("projection_id").loc[chosen]
path = Path(row["path"])
if path.exists():
    points = read_points(str(path), path.stat().st_mtime)
    sentence_map(points, quality=(row["trustworthiness"], row["neighbour_recall"]))
else:
    st.warning("The points of this map are no longer on this machine: draw it again.")
