"""Beside the map: the search, and the chosen sentence with its triplet and its neighbours in the full space."""

from typing import Final

import streamlit as st

from pipeline.analysis.neighbours import nearest
from workbench import theme
from workbench.components.elements import plain, shorten
from workbench.components.map import map_actions
from workbench.components.map.map_actions import like_point
from workbench.components.map.map_pairs import TripletLines
from workbench.maps import SentenceMap
from workbench.workspace import Workspace

_NEAR: Final = 8
_SHOWN: Final = 110
"""Characters of a neighbour's sentence."""
_COLOUR_WORDS: Final = {"premise": "gray", "positive": "green", "hard_negative": "red"}
_COSINES: Final = {"positive": "cos_positive", "hard_negative": "cos_hard_negative"}


def map_side(workspace: Workspace, map_id: str, drawn: SentenceMap, triplet: TripletLines | None) -> None:
    """Draw the search and below it what is known of the chosen sentence."""
    map_actions.search(workspace, map_id, drawn)
    if triplet is None:
        st.caption("Choose a sentence on the map to see its triplet and its neighbours here.")
        return
    point = map_actions.chosen_point(map_id, triplet.points.values())
    _triplet(drawn, triplet, point)
    _rivals(drawn, triplet)
    _neighbours(map_id, drawn, point)
    with st.container(horizontal=True):
        if st.button("Select its neighbours", icon=":material/near_me:", key=f"map_near_{map_id}"):
            map_actions.select(map_id, like_point(drawn, point), note="Nearest to the chosen sentence")
            map_actions.show(map_id, "Selected")
            st.rerun(scope="fragment")
        st.button(
            "Clear the choice",
            icon=":material/close:",
            key="clear_triplet",
            on_click=map_actions.choose,
            args=(None,),
        )


def _triplet(drawn: SentenceMap, triplet: TripletLines, chosen: int) -> None:
    for role, point in triplet.points.items():
        row = drawn.points.iloc[point]
        cosine = f" · cosine {row[_COSINES[role]]:.2f}" if _COSINES.get(role) in row else ""
        badge = f":{_COLOUR_WORDS.get(role, 'gray')}-badge[{theme.ROLE_NAMES.get(role, role)}{cosine}]"
        text = plain(row["text"])
        st.markdown(f"{badge} {f'**{text}**' if point == chosen and len(triplet.points) > 1 else text}")
    first = drawn.points.iloc[next(iter(triplet.points.values()))]
    if "margin" in first and first["margin"] < 0:
        st.badge("violated: the hard negative is nearer than the positive", color="red", icon=":material/warning:")
    if "error" in first:
        way = "closer" if first["error"] > 0 else "farther apart"
        st.caption(
            f"Gold {first['gold']:.2f}, cosine {first['predicted']:.3f}, rank error {first['error']:+.2f}: "
            f"the encoder ranks this pair {way} than people do."
        )


def _rivals(drawn: SentenceMap, triplet: TripletLines) -> None:
    if not triplet.rivals:
        return
    with st.expander("Nearest other negatives, in the full space", expanded=False):
        for point, near in triplet.rivals:
            row = drawn.points.iloc[point]
            role = theme.ROLE_NAMES.get(row["role"], row["role"]).lower()
            st.markdown(f":violet-badge[{near:.2f} · {role} of another premise] {plain(row['text'])}")


def _neighbours(map_id: str, drawn: SentenceMap, point: int) -> None:
    """List the sentences nearest to this one; a press chooses one in its place."""
    vectors = drawn.vectors()
    if vectors is None:
        return
    st.caption("Nearest sentences, in the full space")
    rows, cosines = nearest(vectors, vectors[point], count=_NEAR + 1)
    others = [(int(row), cosine) for row, cosine in zip(rows, cosines, strict=True) if row != point]
    with st.container(gap="xxsmall"):
        for row, cosine in others[:_NEAR]:
            st.button(
                f"{cosine:.2f}  {plain(shorten(drawn.points['text'].iat[row], _SHOWN))}",
                type="tertiary",
                key=f"map_neighbour_{map_id}_{row}",
                on_click=_walk,
                args=(map_id, drawn, row),
            )


def _walk(map_id: str, drawn: SentenceMap, point: int) -> None:
    map_actions.focus(map_id, point)
    map_actions.choose_point(map_id, drawn, point)
