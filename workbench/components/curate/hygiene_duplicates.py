"""Hygiene: groups of duplicate triplets, of which one is kept, and the pairs that a guide's threshold masks."""

import numpy as np
import pandas as pd
import streamlit as st

from pipeline.curation.hygiene import EXACT
from pipeline.mask_thresholds import USUAL_THRESHOLDS
from workbench import state, theme
from workbench.actions.curation import keep_one
from workbench.components.elements import count, counted, errors_shown
from workbench.components.triplet_card import Scope, triplet_table
from workbench.results import HygieneRun
from workbench.store.filters import TripletFilter
from workbench.workspace import Workspace

_GROUPS_SHOWN, _PAIRS_SHOWN = 500, 200
_THRESHOLDS = 60
"""Points of the curve over phi."""


def duplicates(workspace: Workspace, scope: Scope, run: HygieneRun) -> None:
    """Draw the groups with more than one triplet left, the members of the chosen one, and a button for all groups."""
    members = run.table("duplicates")
    gone = workspace.store.decisions.rejected(members["triplet_id"].tolist())
    members = members[~members["triplet_id"].isin(gone)]
    sizes = members.groupby("group")["triplet_id"].size()
    members = members[members["group"].isin(sizes.index[sizes > 1])]
    if members.empty:
        st.success("No duplicates, or one of each group was kept.", icon=":material/check_circle:")
        return
    kind = st.segmented_control(
        "Kind",
        ["All", "Exact", "Near"],
        default="All",
        required=True,
        key="hygiene_kind",
        label_visibility="collapsed",
        wrap=True,
    )
    members = members if kind == "All" else members[(members["kind"] == EXACT) == (kind == "Exact")]
    ranked = best_first(workspace, scope, members)
    groups = [list(part["triplet_id"]) for _, part in ranked.groupby("group", sort=False)]
    extra = sum(map(len, groups)) - len(groups)
    st.button(
        f"Keep one of each of {counted(len(groups), 'group')}, reject {count(extra)}",
        icon=":material/done_all:",
        key="keep_all",
        disabled=not groups,
        on_click=_keep,
        args=(workspace, groups),
        help="Keeps the triplet with the largest gap between its scores, or the first one without scores.",
    )
    table = group_table(ranked)
    event = st.dataframe(
        table.head(_GROUPS_SHOWN).drop(columns="group"),
        hide_index=True,
        key=f"groups_{run.job_id}_{kind}_{len(table)}",
        on_select="rerun",
        selection_mode="single-row",
        alt="Groups of duplicates",
        column_config={"Similarity": st.column_config.NumberColumn(format="%.2f", width="small")},
    )
    if len(table) > _GROUPS_SHOWN:
        st.caption(f"The first {count(_GROUPS_SHOWN)} of {counted(len(table), 'group')}.")
    if not event.selection.rows:
        st.caption("Select a group to compare its triplets.")
        return
    number = table.iloc[event.selection.rows[0]]["group"]
    _one_group(workspace, scope, ranked[ranked["group"] == number]["triplet_id"].tolist())


def best_first(workspace: Workspace, scope: Scope, members: pd.DataFrame) -> pd.DataFrame:
    """Sort each group by largest a - b, then by arrival: its first triplet is the one to keep."""
    chosen = TripletFilter(triplet_ids=tuple(members["triplet_id"].unique()), judge_id=scope.judge_id or "")
    rows = workspace.store.triplets.rows(chosen)[["triplet_id", "position", "premise", "a", "b"]]
    joined = members.merge(rows, on="triplet_id")
    gap = (pd.to_numeric(joined["a"]) - pd.to_numeric(joined["b"])).fillna(-10.0)
    return joined.assign(gap=gap).sort_values(["group", "gap", "position"], ascending=[True, False, True])


def group_table(ranked: pd.DataFrame) -> pd.DataFrame:
    """Return a row per group: kind, size, lowest similarity, and the premise of the triplet to keep."""
    grouped = ranked.groupby("group", sort=False)
    return pd.DataFrame(
        {
            "group": list(grouped.groups),
            "Kind": grouped["kind"].first().to_numpy(),
            "Triplets": grouped.size().to_numpy(),
            "Similarity": grouped["similarity"].min().to_numpy(),
            "Premise": grouped["premise"].first().to_numpy(),
        }
    )


def _one_group(workspace: Workspace, scope: Scope, ids: list[str]) -> None:
    chosen = TripletFilter(triplet_ids=tuple(ids), judge_id=scope.judge_id or "")
    rows = workspace.store.triplets.rows(chosen).set_index("triplet_id").loc[list(ids)].reset_index()
    clicked = next(iter(triplet_table(rows, key=f"group_{ids[0]}_{len(ids)}", selection="single-row")), 0)
    kept = ids[clicked]
    others = [triplet_id for triplet_id in ids if triplet_id != kept]
    st.button(
        f"Keep row {clicked + 1}, reject the other {count(len(others))}",
        type="primary",
        key="keep_one",
        on_click=_keep,
        args=(workspace, [[kept, *others]]),
        help="Select a row to keep another triplet.",
    )


def _keep(workspace: Workspace, groups: list[list[str]]) -> None:
    with errors_shown():
        made = keep_one(workspace, groups=groups, annotator=state.annotator())
        st.toast(f"{counted(made['rejected'], 'duplicate')} rejected. Undo reverts it.")


def masked(workspace: Workspace, run: HygieneRun) -> None:
    """Draw how many pairs each phi masks, and the pairs just above the chosen phi."""
    pairs, about = run.table("masked"), run.about
    floor, candidates = float(about["floor"]), int(about["candidates"])
    if pairs.empty:
        st.success(f"No pair exceeds a cosine of {floor:.2f}.", icon=":material/check_circle:")
        return
    left, right = st.columns([2, 1], gap="large", vertical_alignment="center")
    with right:
        phi = st.slider(
            "φ, mask threshold",
            round(floor + 0.005, 2),
            1.0,
            max(USUAL_THRESHOLDS["phi"], floor),
            0.01,
            key="hygiene_phi",
        )
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
            help="Expected in a random batch: the share of masked pairs times the pairs of a batch.",
        )  # fmt: skip
    with left:
        theme.draw(
            masked_figure(pairs["cosine"].to_numpy(), candidates, phi),
            key="masked_curve",
            alt="Masked pairs over phi",
        )
    if about["sampled"] < run.triplets:
        st.caption(f"From a sample of {count(about['sampled'])} of {count(run.triplets)} triplets.")
    if above.empty:
        st.caption("No pair exceeds this threshold.")
        return
    _pairs(workspace, run, above)


def masked_figure(cosine: np.ndarray, candidates: int, phi: float) -> theme.Figure:
    """Draw the pairs per thousand above each threshold on a logarithmic axis, and the chosen phi."""
    figure = theme.chart(
        "Masked pairs over φ", x="φ, cosine under the guide", y="pairs per thousand, logarithmic", height=320
    )
    steps = np.linspace(float(cosine.min()), 1.0, _THRESHOLDS)
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
    """List the masked pairs, weakest first."""
    near = above.iloc[::-1].head(_PAIRS_SHOWN)
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
    st.caption("Weakest first. The right φ lies where the two sentences stop meaning the same.")
    if event.selection.rows:
        pair = near.iloc[event.selection.rows[0]]
        kept, other = str(pair["premise_of"]), str(pair["candidate_of"])
        st.button(
            "Reject the candidate's triplet as a duplicate",
            key="masked_reject",
            disabled=kept == other,
            on_click=_keep,
            args=(workspace, [[kept, other]]),
        )
