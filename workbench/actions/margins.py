"""Measuring how near hard negatives come: cosines of a snapshot's triplets, or of the current ones."""

from typing import Any

import pandas as pd

from pipeline.errors import InputError
from workbench.actions.evaluation import find_encoder, find_snapshot
from workbench.jobs.kinds import MarginsSpec
from workbench.store.triplets import TripletFilter
from workbench.workspace import Workspace

CURRENT = "current"
"""Stands for every triplet of the workspace that is ok and not rejected, as people left it."""
_COLUMNS = ["triplet_id", "premise", "positive", "hard_negative", "source"]


def start_margins(workspace: Workspace, *, encoder: str, corpus: str = CURRENT) -> dict[str, Any]:
    """Queue the cosines (premise, positive) and (premise, hard negative) of triplets under an encoder.

    `corpus` is a snapshot's id or name, or "current". One that is on its way already is answered.
    """
    found = find_encoder(workspace, encoder)
    frame, corpus_id, title = _triplets(workspace, corpus)
    spec = MarginsSpec(found.folder, found.encoder_id, corpus_id)
    live = workspace.jobs.latest(MarginsSpec, lambda other: other == spec, states=("queued", "running"))
    title = f"Hard negatives of {title}, {encoder}"
    job_id = live.job_id if live else workspace.jobs.submit(spec, frame[_COLUMNS], title=title)
    return {"job_id": job_id, "triplets": len(frame)}


def _triplets(workspace: Workspace, corpus: str) -> tuple[pd.DataFrame, str, str]:
    """Rows, id and title of a snapshot or of the current triplets."""
    if corpus == CURRENT:
        known = workspace.store.triplets.rows(TripletFilter(outcome="ok"))
        frame, corpus_id, title = known[known["decision"] != "reject"], CURRENT, "all triplets"
    else:
        snapshot = find_snapshot(workspace, corpus)
        frame, corpus_id, title = workspace.store.snapshots.rows(snapshot.snapshot_id), corpus, snapshot.name
        known = workspace.store.triplets.rows(TripletFilter(triplet_ids=tuple(frame["triplet_id"])))
        corpus_id = snapshot.snapshot_id
    if frame.empty:
        raise InputError("There is no triplet with both sides ok: generate or import some first.")
    sources = dict(zip(known["triplet_id"], _source(known), strict=True))
    return frame.assign(source=frame["triplet_id"].map(sources).fillna("unknown")), corpus_id, title


def _source(triplets: pd.DataFrame) -> list[str]:
    """What wrote each triplet: LLM and omega, or `import`."""
    pairs = zip(triplets["llm"], triplets["omega"], strict=True)
    return ["import" if pd.isna(llm) or not llm else f"{llm}, omega {omega:g}" for llm, omega in pairs]
