"""The loop above every page: each stage with the count of what is chosen, linked to its rows, and the next step."""

from dataclasses import dataclass
from typing import Final

import pandas as pd
import streamlit as st

from workbench import state
from workbench.components import elements
from workbench.components.elements import count, plain, shorten, spearman
from workbench.components.encoder_comparison import encoder_names, scored_name
from workbench.components.evaluate.leaderboard_view import MEAN, matrix_table
from workbench.components.triplet_card import EVERY, largest_judged
from workbench.store.snapshots import Snapshot
from workbench.workspace import Workspace

_STAGE_OF: Final = {
    "Generate": "Replies",
    "Curate": "Kept",
    "Train": "Encoder",
    "Evaluate": "Score",
    "Embedding map": "Encoder",
    "Errors": "Errors",
}
"""Title of a page -> the stage it works on."""
_NAME: Final = 26
"""Characters of an encoder's name in the strip."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of the loop: its figure, and the page and address of the rows behind it."""

    name: str
    figure: str
    page: str
    query: dict[str, str]
    help: str


@dataclass(frozen=True, slots=True)
class _Chosen:
    """What the pages work on: chosen before in this session, else the defaults of the pages."""

    corpus: str
    premises: int
    attempt: str
    replies: int
    is_judged: bool
    snapshot: Snapshot | None
    run: str
    masked: float | None
    encoder: str
    encoder_name: str
    mean: float | None
    pairs: int


def loop_strip(workspace: Workspace, title: str) -> None:
    """Draw the strip of the page with this title; nothing while the workspace is empty."""
    runs = workspace.store.triplets.attempts()
    corpora = {corpus.corpus_id: corpus.premises for corpus in workspace.store.premises.corpora() if corpus.premises}
    scores = workspace.store.scores.matrix()
    if not corpora and runs.empty and scores.empty:
        return
    chosen = _chosen(workspace, corpora, runs, scores)
    present = _STAGE_OF.get(title, "")
    with st.container(horizontal=True, vertical_alignment="center", gap="xxsmall", key="loop"):
        drawn = stages(chosen)
        for stage in drawn:
            words = f"{stage.name} **{stage.figure}**"
            st.page_link(
                stage.page,
                label=f":blue-background[{words}]" if stage.name == present else words,
                icon=":material/chevron_right:" if stage is not drawn[-1] else None,
                icon_position="right",
                query_params=stage.query,
                help=stage.help,
            )
        label, page, query = next_step(chosen)
        st.page_link(page, label=f"**Next: {label}**", icon=":material/arrow_forward:", query_params=query)


def stages(chosen: _Chosen) -> list[Stage]:
    """Return the seven stages in order."""
    attempt = {state.ATTEMPT: chosen.attempt} if chosen.attempt else {}
    run = {state.TRAIN_VIEW: "Runs"} | ({state.RUN: chosen.run} if chosen.run else {})
    encoder = {state.ENCODER: chosen.encoder} if chosen.encoder else {}
    kept, masked = chosen.snapshot, chosen.masked
    return [
        Stage(
            "Premises",
            count(chosen.premises) if chosen.corpus else "–",
            elements.GENERATE,
            {state.CORPUS: chosen.corpus} if chosen.corpus else {},
            "Premises of the chosen corpus.",
        ),
        Stage(
            "Replies",
            count(chosen.replies) if chosen.attempt else "–",
            elements.CURATE if chosen.attempt else elements.GENERATE,
            {state.VIEW: "List", **attempt} if chosen.attempt else {},
            "Triplets of the chosen generation run; opens them as a list.",
        ),
        Stage(
            "Kept",
            count(kept.rows) if kept else "–",
            elements.CURATE,
            {state.VIEW: "Snapshots" if kept else "Rule", **attempt},
            f"Triplets of snapshot {plain(kept.name)}." if kept else "No snapshot has been frozen yet.",
        ),
        Stage(
            "Masked",
            "–" if masked is None else f"{masked:.2%}",
            elements.TRAIN,
            run,
            "Share of candidates that the run's guide masked as false negatives.",
        ),
        Stage("Encoder", plain(shorten(chosen.encoder_name, _NAME)) or "–", elements.TRAIN, run, "Trained here."),
        Stage("Score", spearman(chosen.mean), elements.EVALUATE, encoder, "Mean of its STS tasks, Spearman x 100."),
        Stage(
            "Errors",
            count(chosen.pairs) if chosen.pairs else "–",
            elements.ERRORS,
            encoder,
            "Scored pairs of this encoder, to be looked through by slice and error.",
        ),
    ]


def next_step(chosen: _Chosen) -> tuple[str, str, dict[str, str]]:
    """Return label, page and query of the first step that is still to be done; after the last, data for an error."""
    attempt = {state.ATTEMPT: chosen.attempt}
    if not chosen.attempt:
        return "generate triplets", elements.GENERATE, {}
    if not chosen.is_judged:
        return "judge the triplets", elements.CURATE, attempt
    if chosen.snapshot is None:
        return "freeze a snapshot", elements.CURATE, {state.VIEW: "Rule", **attempt}
    if not chosen.run:
        return "train an encoder", elements.TRAIN, {state.SNAPSHOT: chosen.snapshot.snapshot_id}
    if chosen.mean is None:
        return "evaluate the encoder", elements.EVALUATE, {state.CANDIDATE: chosen.run}
    return "find its worst slice", elements.ERRORS, {state.ENCODER: chosen.encoder}


def _chosen(workspace: Workspace, corpora: dict[str, int], runs: pd.DataFrame, scores: pd.DataFrame) -> _Chosen:
    store = workspace.store
    corpus = _one(state.CORPUS, list(corpora))
    judged = store.judgements.judged()
    replies = dict(zip(runs["attempt_id"], runs["rows"], strict=True)) | {EVERY: runs["rows"].sum()}
    wanted = state.recall(state.ATTEMPT)
    attempt = wanted if wanted is not None and wanted in replies and len(runs) else largest_judged(runs, judged)
    snapshots = {item.snapshot_id: item for item in store.snapshots.list()}
    trained = list(store.runs.list()["run_id"])
    run = _one(state.RUN, trained)
    curve = store.runs.curve(run, most=200) if run else pd.DataFrame()
    table = matrix_table(scores) if len(scores) else pd.DataFrame()
    encoder = _one(state.ENCODER, [*([run] if run in table.index else []), *table.index])
    mean = float(table.loc[encoder, MEAN]) / 100 if encoder else None
    return _Chosen(
        corpus=corpus,
        premises=corpora.get(corpus, 0),
        attempt=attempt,
        replies=int(replies.get(attempt, 0)),
        is_judged=bool(judged if attempt == EVERY else judged.get(attempt)),
        snapshot=snapshots.get(_one(state.SNAPSHOT, list(snapshots))),
        run=run,
        masked=None if curve.empty or curve["masked_share"].isna().all() else float(curve["masked_share"].mean()),
        encoder=encoder,
        encoder_name=scored_name(encoder or run, encoder_names(workspace)) if encoder or run else "",
        mean=mean if mean == mean else None,
        pairs=int(scores[scores["encoder_id"] == encoder]["pairs"].sum()) if encoder else 0,
    )


def _one(name: str, ids: list[str]) -> str:
    """Return what was chosen under this name if it is still there, else the first; empty without any."""
    wanted = state.recall(name)
    return wanted if wanted is not None and wanted in ids else ids[0] if ids else ""
