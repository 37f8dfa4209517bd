"""The mask before a run: the share that each phi would mask by kind of candidate, with examples."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from pipeline.analysis.masks import BINS, KINDS, bin_of, phi_of_share, shares_above
from workbench import theme
from workbench.actions.training import preview_key, start_preview
from workbench.components.elements import count, errors_shown, read_json, text_columns
from workbench.components.job_progress import is_live, job_card, while_live
from workbench.components.train.train_curves import legend_below
from workbench.components.train.train_outlook import Wanted
from workbench.jobs.folder import JobView
from workbench.jobs.kinds import PreviewSpec
from workbench.workspace import Workspace

_COLOURS = {KINDS[0]: theme.POSITIVE, KINDS[1]: theme.HARD_NEGATIVE, KINDS[2]: theme.MASKED}
_LOWEST_SHOWN = 0.2
_EXAMPLES = 6


def phi_preview(workspace: Workspace, wanted: Wanted) -> None:
    """Draw the preview for this snapshot and guide, or offer to compute it; nothing for a mask rule without phi."""
    config = wanted.config
    if config["mask_rule"] not in ("phi", "released") or config.get("positives", "written") != "written":
        return
    key = preview_key(wanted.snapshot_id, config["guide"], wanted.hold_out)

    def newest() -> JobView[PreviewSpec] | None:
        return workspace.jobs.latest(PreviewSpec, lambda spec: spec.key == key)

    def draw() -> bool:
        job = newest()
        with st.container(border=True):
            st.subheader("What φ would mask", anchor=False)
            found = None
            if job and job.state == "finished":
                found = read_json(workspace.jobs.output(job.job_id, "preview.json"))
            if found:
                _picture(found, wanted)
            elif job and job.state != "cancelled":
                job_card(workspace, job, key="preview")
            if not found and not (job and is_live(job)):
                _offer(workspace, wanted)
        return bool(job and is_live(job))

    job = newest()
    while_live(draw, live=bool(job and is_live(job)))


def _offer(workspace: Workspace, wanted: Wanted) -> None:
    st.caption(
        "A short job embeds the snapshot's texts with the guide; any φ can then be tried here. The training run "
        "reuses the vectors."
    )
    if st.button("Preview the mask", icon=":material/visibility:", key="preview_mask"):
        with errors_shown():
            start_preview(
                workspace,
                snapshot_id=wanted.snapshot_id,
                guide=wanted.config["guide"],
                held_out=wanted.snapshot_id if wanted.hold_out else None,
            )
            st.rerun(scope="app")


def _picture(found: dict[str, Any], wanted: Wanted) -> None:
    phi, share = chosen_phi(found, wanted.config)
    batch = min(wanted.config["batch_size"], found["triplets"])
    masked = expected(found, phi, batch)
    with st.grid(4, min_column_width=110):
        st.metric("φ", f"{phi:.3f}", help=f"{1000 * share:.3g} of 1,000 random pairs exceed it.")
        for kind, label in zip(KINDS, ("Positives", "Hard negatives", "Own"), strict=True):
            st.metric(label, f"{masked[kind]['share']:.3%}", help=f"Masked share of these candidates: {kind}.")
    mean = sum(item["candidates"] for item in masked.values())
    st.caption(
        f"In a batch of {count(batch)}, a premise loses {mean:.2f} of its {count(2 * batch - 1)} negatives on "
        f"average. {share:.4%} of random pairs exceed φ = {phi:.3f}. "
        f"Counted over {count(found['premises'])} premises with all their candidates."
    )
    st.plotly_chart(phi_figure(found, phi), key="phi_figure", config=theme.MODEBAR, alt="Masked share by phi")
    _examples(found, phi)


def chosen_phi(found: dict[str, Any], config: dict[str, Any]) -> tuple[float, float]:
    """Return phi as a cosine, and the share of random pairs above it."""
    random_pairs = np.array(found["random_pairs"])
    if config.get("threshold_unit", "cosine") == "random_pairs":
        return phi_of_share(random_pairs, config["mask_threshold"]), config["mask_threshold"]
    phi = float(config["mask_threshold"])
    return phi, float(shares_above(random_pairs)[bin_of(phi)])


def expected(found: dict[str, Any], phi: float, batch: int) -> dict[str, dict[str, float]]:
    """Return per kind the masked share, and the expected number of masked candidates of a premise in a batch."""
    many = dict(zip(KINDS, (batch - 1, batch - 1, 1), strict=True))
    shares = {kind: float(shares_above(np.array(found["counts"][kind]))[bin_of(phi)]) for kind in KINDS}
    return {kind: {"share": shares[kind], "candidates": shares[kind] * many[kind]} for kind in KINDS}


def phi_figure(found: dict[str, Any], phi: float) -> go.Figure:
    """Draw the masked share over phi: a line per kind of candidate, and random pairs for comparison."""
    figure = theme.chart(
        "Masked share over φ", x="φ, guide cosine", y="masked, % of the kind (log scale)", height=340
    )
    edges = np.arange(BINS) * 2 / BINS - 1
    shown = slice(bin_of(_LOWEST_SHOWN), BINS, 4)
    lines = {kind: (found["counts"][kind], _COLOURS[kind], "solid") for kind in KINDS}
    lines["random pairs"] = (found["random_pairs"], theme.INK, "dot")
    for name, (counts, colour, dash) in lines.items():
        shares = 100 * shares_above(np.array(counts))[shown]
        figure.add_scatter(
            x=edges[shown],
            y=np.where(shares > 0, shares, np.nan),
            mode="lines",
            name=name,
            line={"color": colour, "width": 2, "dash": dash},
            hovertemplate="φ %{x:.3f}: %{y:.3g} %<extra></extra>",
        )
    figure.add_vline(x=phi, line={"color": theme.HUMAN, "width": 2}, annotation_text=f"φ {phi:.3f}")
    figure.update_yaxes(type="log", dtick=1, exponentformat="none")  # otherwise Plotly writes 0.0001 as 100µ
    legend_below(figure)
    return figure


def _examples(found: dict[str, Any], phi: float) -> None:
    st.markdown("**Examples nearest to φ**")
    st.caption("φ suits this guide if the masked examples are false negatives and the others are not.")
    kind = st.segmented_control(
        "Kind", KINDS, default=KINDS[0], required=True, key="preview_kind", label_visibility="collapsed", wrap=True
    )
    of_kind = [item for item in found["examples"] if item["kind"] == kind]
    above = [item for item in of_kind if item["cosine"] > phi][-_EXAMPLES:]
    below = [item for item in of_kind if item["cosine"] <= phi][: _EXAMPLES // 2]
    rows = [{"masked": True} | item for item in above] + [{"masked": False} | item for item in below]
    if not rows:
        st.caption("No candidate of this kind comes near φ.")
        return
    st.dataframe(
        pd.DataFrame(rows)[["cosine", "masked", "premise", "candidate"]],
        hide_index=True,
        alt="Examples nearest to phi",
        column_config={
            "cosine": st.column_config.NumberColumn("Cosine", format="%.3f", width="small"),
            "masked": st.column_config.CheckboxColumn("Masked", width="small"),
        }
        | text_columns({"premise": "Premise", "candidate": "Candidate"}),
    )
