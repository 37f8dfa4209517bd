"""The (a, b) plane: where a judge puts the triplets, and the rule as three lines to drag.

A picture of our own, as Streamlit's Plotly sends neither dragged shapes back nor clicks on a density.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

import numpy as np
import streamlit as st

from pipeline.config import CurationRule
from workbench import theme
from workbench.components.curate.list_filters import STEP
from workbench.paths import ASSETS

TOP: Final = 5.0
_FOLDER: Final = ASSETS / "score_plane"
_COLOURS: Final = f"--kept: {theme.HUMAN}; --positive: {theme.POSITIVE}; --hard-negative: {theme.HARD_NEGATIVE}"
_PLANE: Final = st.components.v2.component(
    "score_plane",
    html=f'<div class="score-plane" style="{_COLOURS}"></div>',
    css=(_FOLDER / "score_plane.css").read_text(encoding="utf-8"),
    js=(_FOLDER / "score_plane.js").read_text(encoding="utf-8"),
)
Limits = tuple[tuple[float, float], tuple[float, float]]


def score_plane(
    counts: np.ndarray, rule: CurationRule, *, key: str, on_rule: Callable[[CurationRule], Any]
) -> Limits | None:
    """Draw the plane; return the limits ((a low, a high), (b low, b high)) of the cell that was clicked, if any.

    Args:
        counts: integers (bins, bins), first axis a, second axis b, both over 0..5.
        rule: the lines.
        key: of the component.
        on_rule: callback with the rule that the lines were dragged to.
    """
    bins = len(counts)
    filled = [(int(a), int(b), int(counts[a, b])) for a, b in np.argwhere(counts > 0)]
    clicked = _state(key).get("cell")
    st.markdown("**Judged triplets and the part the rule keeps**")
    _PLANE(
        key=key,
        data={
            "bins": bins,
            "cells": filled,
            "cell": clicked,
            "rule": asdict(rule),
            "step": STEP,
            "labels": ["a: premise and positive, score 0 to 5", "b: premise and hard negative, score 0 to 5"],
        },
        on_rule_change=lambda: _moved(key, on_rule),
        on_cell_change=lambda: None,
    )
    if not isinstance(clicked, list) or len(clicked) != 2:
        return None
    a, b = (float(place) * TOP / bins for place in clicked)
    return (a, a + TOP / bins), (b, b + TOP / bins)


def _moved(key: str, on_rule: Callable[[CurationRule], Any]) -> None:
    sent = _state(key).get("rule")
    if isinstance(sent, dict):
        on_rule(CurationRule(**{name: float(sent[name]) for name in ("alpha", "beta", "gamma")}))


def _state(key: str) -> dict[str, Any]:
    return dict(st.session_state.get(key) or {})
