"""Triplets in and out of the workspace."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import InputError
from pipeline.exchange import TripletReading, write_triplets
from pipeline.records import Triplet, text_id
from pipeline.settings import checked_name
from pipeline.triplet_dataset import DatasetCard, write_dataset
from workbench.actions.curation import provenance
from workbench.actions.evaluation import find_snapshot
from workbench.actions.generation import known_attempts
from workbench.actions.premises import offered_encoding
from workbench.store.snapshots import Snapshot
from workbench.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd


def import_triplets(
    workspace: Workspace, *, path: str, name: str | None = None, encoding: str | None = None
) -> dict[str, Any]:
    """Import foreign triplets (a file or a datasets folder) as an attempt, to be judged, curated and trained on.

    The answer lists the first rejected rows with line and reason. `encoding` is that of text which is not UTF-8.
    """
    source = Path(path).expanduser()
    reading = TripletReading(source, encoding=encoding or "")
    return keep_triplets(workspace, reading, source.name, name=source.stem if name is None else name)


def keep_triplets(workspace: Workspace, reading: TripletReading, filename: str, *, name: str) -> dict[str, Any]:
    """Store what a reading gives, a block in memory at a time; counts add up to its lines."""
    name = checked_name(name, "an attempt")
    stream = iter(reading)
    first = next(stream, None)
    if first is None:
        why = ", ".join(f"{count} {reason}" for reason, count in reading.reasons.most_common(3)) or "no rows"
        raise InputError(f"{filename} holds no usable triplet ({why}): it needs columns sent0, sent1, hard_neg.")
    rows = ((text_id(t.premise), t.premise, t.positive, t.hard_negative) for t in chain([first], stream))
    attempt_id = workspace.store.triplets.import_rows(
        name, filename, rows, lambda: {"rejected": dict(reading.reasons), "duplicates": reading.duplicates}
    )
    return {
        "attempt_id": attempt_id,
        "triplets": reading.kept,
        "duplicates": reading.duplicates,
        "rejected": reading.rejected,
        "reasons": dict(reading.reasons.most_common()),
        "lines": reading.lines,
        "rejected_rows": [row.as_dict() for row in reading.examples],
        "encoding": reading.sources[0].encoding,
        "encoding_offer": offered_encoding(reading.sources[0], reading.reasons),
    }


def export_triplets(
    workspace: Workspace, *, path: str, snapshot_id: str | None = None, attempt_ids: list[str] | None = None
) -> dict[str, Any]:
    """Write a snapshot, or the ok triplets of attempts with people's decisions applied.

    The name's ending says the format: csv, jsonl or parquet; a name without ending becomes a datasets folder.
    """
    if snapshot_id:
        snapshot = find_snapshot(workspace, snapshot_id)
        frame, card = workspace.store.snapshots.rows(snapshot.snapshot_id), snapshot_card(snapshot)
    elif attempt_ids:
        frame = workspace.store.final_sets.kept(known_attempts(workspace, attempt_ids), None, None)
        reasons = workspace.store.final_sets.reasons(attempt_ids, None, None)
        card = provenance_card("Triplets", provenance(workspace, attempt_ids, reasons))
    else:
        raise InputError("Nothing to export: name a snapshot or an attempt.")
    if frame.empty:
        raise InputError("There is nothing to export: no triplet has both sides ok, or people rejected them all.")
    target = Path(path).expanduser()
    rows = triplets_of(frame)
    written = write_triplets(target, rows) if target.suffix else write_dataset(target, rows, card)
    return {"path": str(target), "triplets": written}


def triplets_of(frame: "pd.DataFrame") -> Iterator[Triplet]:
    """Rows of a frame as triplets, one at a time."""
    columns = ["premise", "positive", "hard_negative"]
    return (Triplet(*values) for values in frame[columns].itertuples(index=False, name=None))


def snapshot_card(snapshot: Snapshot) -> DatasetCard:
    """The card of a snapshot: its rule, its judges, where its rows come from, its hashes."""
    facts = [("snapshot", snapshot.snapshot_id), ("frozen", snapshot.created_at), ("sha256", snapshot.sha256)]
    if snapshot.rule:
        facts += [("judge of the rule", str(snapshot.judge_id))]
        facts += [(name, f"{value:g}") for name, value in snapshot.rule.items()]
    card = provenance_card(snapshot.name, snapshot.details)
    return DatasetCard(card.title, {"Snapshot": facts} | card.facts)


def provenance_card(title: str, details: dict[str, Any]) -> DatasetCard:
    """A card of what `provenance` found."""
    attempts = [(item["title"] or item["attempt_id"], _written_by(item)) for item in details.get("attempts", [])]
    judges = [(judge, "calibration " + ", ".join(made)) for judge, made in details.get("judges", {}).items()]
    reasons = [(why, f"{count:,}") for why, count in details.get("reasons", {}).items()]
    log = details.get("decisions_log", {})
    hashes = [("sha256 of the decision log", log["sha256"])] if log.get("bytes") else []
    return DatasetCard(title, {"Written by": attempts, "Judged by": judges, "In and out": reasons + hashes})


def _written_by(attempt: dict[str, Any]) -> str:
    if not attempt["llm"]:
        return f"import, {attempt['rows']:,} rows"
    omega = attempt["omega"] or 0.0
    return f"{attempt['llm']}, omega {omega:g}, seed {attempt['seed']}, {attempt['rows']:,} rows"
