"""The sources and names of embedding maps, the form that starts one, and its progress."""

import pandas as pd
import streamlit as st

from workbench import state
from workbench.actions.analysis import default_guide, start_projection
from workbench.components.elements import count, counted, errors_shown
from workbench.components.encoder_comparison import encoder_names, scored_name
from workbench.components.job_progress import job_strip
from workbench.jobs.kinds import ProjectSpec
from workbench.maps import task_corpus, task_of
from workbench.workspace import Workspace

_LIMITS = (1000, 5000, 20_000, 50_000, 200_000)


def sources(workspace: Workspace) -> dict[str, str]:
    """Return id -> name of what can be drawn: snapshots, generation runs with usable triplets, scored tasks."""
    found = {
        item.snapshot_id: f"Snapshot {item.name} ({count(item.rows)})" for item in workspace.store.snapshots.list()
    }
    runs = workspace.store.triplets.attempts()
    usable = runs[runs["ok"] > 0]
    found |= {row.attempt_id: f"{row.title or row.attempt_id} ({count(row.ok)})" for row in usable.itertuples()}
    tasks = workspace.store.scores.matrix().groupby("task")["pairs"].max()
    return found | {
        task_corpus(str(name)): f"Task {name} ({counted(pairs, 'pair')})" for name, pairs in tasks.items()
    }


def map_names(
    workspace: Workspace, maps: pd.DataFrame, encoders: dict[str, str], drawable: dict[str, str]
) -> dict[str, str]:
    """Return id -> name of every map: its encoders in order, its sentences, its method."""
    asked = {job.job_id: job.spec.encoders for job in workspace.jobs.of(ProjectSpec)}
    names = {}
    for row in maps.itertuples():
        compared = [item.encoder_id for item in asked.get(str(row.projection_id), ())]
        shown = " → ".join(scored_name(encoder, encoders) for encoder in compared or [row.encoder_id])
        method = "ALIGNED UMAP" if row.method == "aligned" else row.method.upper()
        names[row.projection_id] = f"{shown} · {drawable.get(row.corpus) or _corpus_name(row.corpus)} · {method}"
    return names


def _corpus_name(corpus: str) -> str:
    """Return the name of a source that no longer exists."""
    task = task_of(corpus)
    return f"Task {task}" if task else corpus


def map_form(workspace: Workspace, drawable: dict[str, str]) -> None:
    """Draw encoder, sentences, method and start."""
    names = encoder_names(workspace)
    with st.container(width=520):
        chosen = state.pick("Encoder", list(names), name=state.CANDIDATE, names=names)
        later = st.multiselect(
            "Compare with",
            [encoder for encoder in names if encoder != chosen],
            format_func=names.__getitem__,
            key="map_compare",
            placeholder="One encoder only",
            help="Draws the same sentences under all encoders, in this order, on one aligned map. Takes minutes.",
        )
        source = str(state.pick("Sentences of", list(drawable), name=state.MAPPED, names=drawable))
        task = task_of(source)
        is_snapshot = any(item.snapshot_id == source for item in workspace.store.snapshots.list())
        how = st.segmented_control(
            "Method",
            ["umap", "pca"],
            default="umap",
            required=True,
            format_func=str.upper,
            key="map_method",
            disabled=bool(later),
        )
        limit = st.select_slider("Most triplets or pairs", _LIMITS, value=5000, format_func=count, key="map_limit")
        guided = st.toggle(
            "Find the pairs that φ would mask",
            key="map_guided",
            disabled=task is not None,
            help=f"Also encodes the sentences with the guide {default_guide()}, to show false negatives.",
        )
        every_outcome = st.toggle(
            "Include failed replies",
            key="map_every_outcome",
            disabled=task is not None or is_snapshot,
            help="Also draws copied, truncated and refused replies; colour them by outcome.",
        )
        pressed = st.button("Draw the map", type="primary", icon=":material/scatter_plot:", key="map_start")
    if pressed:
        with errors_shown():
            made = start_projection(
                workspace,
                encoder=str(chosen),
                snapshot_id=source if is_snapshot else None,
                attempt_id=None if is_snapshot or task else source,
                task=task,
                every_outcome=every_outcome and not is_snapshot and not task,
                method=how or "umap",
                limit=limit,
                compare_with=later,
                guide=default_guide() if guided and not task else None,
            )
            state.select(state.MAP, made["projection_id"])
            st.rerun()


def map_progress(workspace: Workspace) -> None:
    """Draw the job of a map that is being computed or was stopped."""
    job_strip(workspace, ProjectSpec, key="mapping")
