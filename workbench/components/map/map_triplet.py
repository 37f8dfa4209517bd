"""The triplet chosen on a map: its sentences, how near they are, and its nearest rivals."""

import streamlit as st

from workbench import theme
from workbench.components.map import map_selection
from workbench.components.map.map_lines import TripletLines
from workbench.components.map.map_search import like_point
from workbench.components.text import plain
from workbench.map_files import SentenceMap
from workbench.workspace import Workspace

_COLOUR_WORDS = {"premise": "gray", "positive": "green", "hard_negative": "red"}
_COSINES = {"positive": "cos_positive", "hard_negative": "cos_hard_negative"}


def chosen_triplet(
    workspace: Workspace, map_id: str, drawn: SentenceMap, triplet_id: str, triplet: TripletLines
) -> None:
    """Draw the card of the chosen triplet."""
    del workspace
    with st.container(border=True):
        for role, point in triplet.points.items():
            row = drawn.points.iloc[point]
            cosine = f" · cosine {row[_COSINES[role]]:.2f}" if _COSINES.get(role) in row else ""
            colour = _COLOUR_WORDS.get(role, "gray")
            st.markdown(f":{colour}-badge[{theme.ROLE_NAMES.get(role, role)}{cosine}] {plain(row['text'])}")
        if "margin" in drawn.points and drawn.points["margin"].iat[next(iter(triplet.points.values()))] < 0:
            st.badge(
                "violated: the hard negative is nearer than the positive", color="red", icon=":material/warning:"
            )
        first = drawn.points.iloc[next(iter(triplet.points.values()))]
        if "error" in drawn.points:
            way = "closer" if first["error"] > 0 else "farther apart"
            st.caption(
                f"Gold {first['gold']:.2f}, cosine {first['predicted']:.3f}, rank error {first['error']:+.2f}: "
                f"the encoder ranks this pair {way} than people do."
            )
        if triplet.rivals:
            with st.expander("Nearest other negatives, in the full space", expanded=False):
                for point, near in triplet.rivals:
                    row = drawn.points.iloc[point]
                    role = theme.ROLE_NAMES.get(row["role"], row["role"]).lower()
                    st.markdown(f":violet-badge[{near:.2f} · {role} of another premise] {plain(row['text'])}")
        with st.container(horizontal=True):
            if st.button("Select its neighbours", icon=":material/near_me:", key=f"map_near_{map_id}"):
                point = triplet.points.get("premise", next(iter(triplet.points.values())))
                map_selection.select(map_id, like_point(drawn, point), note="Nearest to the chosen premise")
                map_selection.show(map_id, "Selected")
                st.rerun(scope="fragment")
            st.button(
                "Clear the choice",
                icon=":material/close:",
                key="clear_triplet",
                on_click=map_selection.choose,
                args=(None,),
            )
