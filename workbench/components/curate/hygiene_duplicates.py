"""Groups of triplets that say the same: keep one of each, the rest is rejected and names it."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from pipeline.curation.hygiene import EXACT
from workbench import state
from workbench.actions.hygiene import keep_one
from workbench.components.curation_scope import Scope
from workbench.components.notice import errors_shown
from workbench.components.triplet_rows import triplet_table
from workbench.components.wording import count, counted
from workbench.hygiene_results import HygieneRun
from workbench.store.filters import TripletFilter
from workbench.workspace import Workspace

_SHOWN = 500


def duplicates(workspace: Workspace, scope: Scope, run: HygieneRun) -> None:
    """Draw the open groups, the members of the chosen one, and the button for all of them."""
    members = run.table("duplicates")
    gone = workspace.store.decisions.rejected(members["triplet_id"].tolist())
    members = members[~members["triplet_id"].isin(gone)]
    sizes = members.groupby("group")["triplet_id"].size()
    members = members[members["group"].isin(sizes.index[sizes > 1])]
    if members.empty:
        st.success("No two triplets say the same, or one of each group was kept.", icon=":material/check_circle:")
        return
    kind = st.segmented_control(
        "Kind",
        ["All", "Exact", "Near"],
        default="All",
        required=True,
        key="hygiene_kind",
        label_visibility="collapsed",
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
        help="Kept is the triplet with the largest gap between its scores, else the first that came.",
    )
    table = group_table(ranked)
    event = st.dataframe(
        table.head(_SHOWN).drop(columns="group"),
        hide_index=True,
        key=f"groups_{run.job_id}_{kind}_{len(table)}",
        on_select="rerun",
        selection_mode="single-row",
        alt="Groups of duplicates",
        column_config={"Similarity": st.column_config.NumberColumn(format="%.2f", width="small")},
    )
    if len(table) > _SHOWN:
        st.caption(f"The first {count(_SHOWN)} of {counted(len(table), 'group')}.")
    if not event.selection.rows:
        st.caption("Choose a group to compare its triplets.")
        return
    number = table.iloc[event.selection.rows[0]]["group"]
    _one_group(workspace, scope, ranked[ranked["group"] == number]["triplet_id"].tolist())


def best_first(workspace: Workspace, scope: Scope, members: pd.DataFrame) -> pd.DataFrame:
    """Return the members with the one to keep first in its group: largest a - b, then order of arrival."""
    chosen = TripletFilter(triplet_ids=tuple(members["triplet_id"].unique()), judge_id=scope.judge_id or "")
    rows = workspace.store.triplets.rows(chosen)[["triplet_id", "position", "premise", "a", "b"]]
    joined = members.merge(rows, on="triplet_id")
    gap = (pd.to_numeric(joined["a"]) - pd.to_numeric(joined["b"])).fillna(-10.0)
    return joined.assign(gap=gap).sort_values(["group", "gap", "position"], ascending=[True, False, True])


def group_table(ranked: pd.DataFrame) -> pd.DataFrame:
    """One row per group: kind, size, least similarity, the premise of the one that would be kept."""
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


def _one_group(workspace: Workspace, scope: Scope, ids: Sequence[str]) -> None:
    chosen = TripletFilter(triplet_ids=tuple(ids), judge_id=scope.judge_id or "")
    rows = workspace.store.triplets.rows(chosen).set_index("triplet_id").loc[list(ids)].reset_index()
    clicked = triplet_table(rows, key=f"group_{ids[0]}_{len(ids)}", selectable=True) or 0
    kept = ids[clicked]
    others = [triplet_id for triplet_id in ids if triplet_id != kept]
    st.button(
        f"Keep row {clicked + 1}, reject the other {count(len(others))}",
        type="primary",
        key="keep_one",
        on_click=_keep,
        args=(workspace, [[kept, *others]]),
        help="Choose a row to keep that one.",
    )


def _keep(workspace: Workspace, groups: list[list[str]]) -> None:
    with errors_shown():
        made = keep_one(workspace, groups=groups, annotator=state.annotator())
        st.toast(f"{counted(made['rejected'], 'duplicate')} rejected. Undo takes it back.")
