"""Triplets in and out of the workspace."""

from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.errors import InputError
from pipeline.exchange import read_triplets, write_triplets
from pipeline.records import Triplet, text_id
from workbench.actions.curation import final_set
from workbench.actions.evaluation import find_snapshot
from workbench.workspace import Workspace


def import_triplets(workspace: Workspace, *, path: str, name: str | None = None) -> dict[str, Any]:
    """Import foreign triplets as an attempt, so that they can be judged, curated and trained on."""
    source = Path(path)
    read = read_triplets(source)
    if not read.triplets:
        raise InputError(f"{source.name} holds no usable triplet: it needs columns sent0, sent1, hard_neg.")
    frame = pd.DataFrame(
        {
            "premise_id": [text_id(triplet.premise) for triplet in read.triplets],
            "premise": [triplet.premise for triplet in read.triplets],
            "positive": [triplet.positive for triplet in read.triplets],
            "hard_negative": [triplet.hard_negative for triplet in read.triplets],
        }
    )
    attempt_id = workspace.store.triplets.add_import(name or source.stem, source.name, frame, read.reasons())
    return {
        "attempt_id": attempt_id,
        "triplets": len(read.triplets),
        "duplicates": read.duplicates,
        "rejected": len(read.rejected),
        "reasons": read.reasons(),
        "lines": read.lines,
    }


def export_triplets(
    workspace: Workspace, *, path: str, snapshot_id: str | None = None, attempt_ids: list[str] | None = None
) -> dict[str, Any]:
    """Write a snapshot, or the ok triplets of attempts with people's decisions applied, as csv, jsonl or parquet."""
    if snapshot_id:
        frame = workspace.store.snapshots.rows(find_snapshot(workspace, snapshot_id).snapshot_id)
    elif attempt_ids:
        frame = final_set(workspace, attempt_ids, None, None)
        frame = frame[frame["kept"]]
    else:
        raise InputError("Nothing to export: name a snapshot or an attempt.")
    columns = ["premise", "positive", "hard_negative"]
    triplets = [Triplet(*values) for values in frame[columns].itertuples(index=False, name=None)]
    write_triplets(Path(path), triplets)
    return {"path": str(path), "triplets": len(triplets)}
