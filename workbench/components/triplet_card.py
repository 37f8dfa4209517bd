"""One triplet to read: premise on top, positive and hard negative below, what changed standing out."""

from typing import Any

import streamlit as st

from pipeline.records import Side
from workbench import theme
from workbench.components.curation_scope import judge_name
from workbench.components.text import changes_marked, plain, words

_TOP = 5.0

Scores = dict[str, dict[str, float | None]]
"""Judge -> {"a": score of the positive, "b": score of the hard negative}, 0 to 5."""


def triplet_card(triplet: dict[str, Any], scores: Scores) -> None:
    """Draw the triplet with what each judge gave it."""
    with st.container(border=True):
        st.caption("Premise")
        st.subheader(plain(triplet["premise"]), anchor=False)
        left, right = st.columns(2)
        with left:
            _side(triplet, Side.POSITIVE, scores, score="a")
        with right:
            _side(triplet, Side.HARD_NEGATIVE, scores, score="b")


def _side(triplet: dict[str, Any], side: Side, scores: Scores, *, score: str) -> None:
    is_positive = side is Side.POSITIVE
    colour: theme.BadgeColour = "green" if is_positive else "red"
    label = "Positive: entailed" if is_positive else "Hard negative: contradicted"
    with st.container(border=True, height="stretch"):
        st.badge(label, color=colour, icon=":material/check:" if is_positive else ":material/block:")
        st.markdown(changes_marked(str(triplet[side]), shared=words(triplet["premise"]), colour=colour))
        for judge_id, given in scores.items():
            value = given[score]
            if value is not None:
                share = min(1.0, max(0.0, value / _TOP))
                st.progress(share, text=f"{plain(judge_name(judge_id))}  **{value:.2f}** of 5")
