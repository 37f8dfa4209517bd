"""Pairs that a mask threshold would take for false negatives if their triplets met in a batch."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from workbench import state, theme
from workbench.actions.hygiene import keep_one
from workbench.components.notice import errors_shown
from workbench.components.wording import count
from workbench.hygiene_results import HygieneRun
from workbench.store.filters import TripletFilter
from workbench.workspace import Workspace

_SHOWN = 200
_STEPS = 60


def masked(workspace: Workspace, run: HygieneRun) -> None:
    """Draw how many pairs each phi masks, and the pairs next to the chosen one."""
    pairs, about = run.table("masked"), run.about
    floor, candidates = float(about["floor"]), int(about["candidates"])
    if pairs.empty:
        st.success(f"No pair exceeds a cosine of {floor:.2f}.", icon=":material/check_circle:")
        return
    left, right = st.columns([2, 1], gap="large", vertical_alignment="center")
    with right:
        phi = st.slider("φ, mask threshold", round(floor + 0.005, 2), 1.0, max(0.8, floor), 0.01, key="hygiene_phi")
        batch = st.select_slider("Batch of", [32, 64, 128, 256, 512, 1024], 128, key="hygiene_batch")
        above = pairs[pairs["cosine"] > phi]
        share = len(above) / candidates
        st.metric(
            "Pairs masked",
            count(len(above)),
            f"{share * 1000:.3f} per thousand",
            delta_color="off",
            delta_arrow="off",
        )
        st.metric(
            "Masked per batch", f"{share * batch * (2 * batch - 1):.1f}",
            help="Expected when triplets meet at random: share of pairs times the pairs of a batch.",
        )  # fmt: skip
    with left:
        st.plotly_chart(
            masked_figure(pairs["cosine"].to_numpy(), candidates, phi), config=theme.MODEBAR, key="masked_curve"
        )
    if about["sampled"] < run.triplets:
        st.caption(f"Counted over a sample of {count(about['sampled'])} of {count(run.triplets)} triplets.")
    if above.empty:
        st.caption("No pair exceeds this threshold.")
        return
    _pairs(workspace, run, above)


def masked_figure(cosine: np.ndarray, candidates: int, phi: float) -> go.Figure:
    """Pairs per thousand above each threshold, on a logarithmic axis, with the chosen phi."""
    figure = theme.chart(
        "Masked pairs over φ", x="φ, cosine under the guide", y="pairs per thousand, logarithmic", height=320
    )
    steps = np.linspace(float(cosine.min()), 1.0, _STEPS)
    ordered = np.sort(cosine)
    above = len(ordered) - np.searchsorted(ordered, steps, side="right")
    shown = above > 0
    figure.add_scatter(
        x=steps[shown],
        y=above[shown] / candidates * 1000,
        mode="lines",
        line={"color": theme.MASKED, "width": 3},
        customdata=above[shown],
        hovertemplate="φ %{x:.2f}: %{customdata:,} pairs<extra></extra>",
        name="masked",
    )
    figure.add_vline(x=phi, line={"color": theme.INK, "width": 2, "dash": "dot"})
    figure.update_yaxes(type="log")
    figure.update_layout(showlegend=False)
    return figure


def _pairs(workspace: Workspace, run: HygieneRun, above: pd.DataFrame) -> None:
    """List the weakest masked pairs first: phi is right where they stop meaning the same."""
    near = above.iloc[::-1].head(_SHOWN)
    ids = tuple(dict.fromkeys([*near["premise_of"], *near["candidate_of"]]))
    rows = workspace.store.triplets.rows(TripletFilter(triplet_ids=ids)).set_index("triplet_id")
    near = near[near["premise_of"].isin(rows.index) & near["candidate_of"].isin(rows.index)]
    side = np.where(near["is_hard_negative"], "hard_negative", "positive")
    candidates = [rows.at[key, name] for key, name in zip(near["candidate_of"], side, strict=True)]
    table = pd.DataFrame(
        {
            "Cosine": near["cosine"].to_numpy(),
            "Premise": rows.loc[near["premise_of"], "premise"].to_numpy(),
            "Masked candidate": candidates,
            "Role": [theme.ROLE_NAMES[name] for name in side],
        }
    )
    event = st.dataframe(
        table,
        hide_index=True,
        key=f"masked_{run.job_id}_{len(above)}",
        on_select="rerun",
        selection_mode="single-row",
        alt="Masked pairs, weakest first",
        column_config={"Cosine": st.column_config.NumberColumn(format="%.3f", width="small")},
    )
    st.caption("Weakest first: a threshold is right where the two stop meaning the same.")
    if event.selection.rows:
        pair = near.iloc[event.selection.rows[0]]
        kept, other = str(pair["premise_of"]), str(pair["candidate_of"])
        st.button(
            "Reject the candidate's triplet as a duplicate",
            key="masked_reject",
            disabled=kept == other,
            on_click=_reject,
            args=(workspace, kept, other),
        )


def _reject(workspace: Workspace, kept: str, other: str) -> None:
    with errors_shown():
        keep_one(workspace, groups=[[kept, other]], annotator=state.annotator())
