"""Premises and triplets in and out of a workspace, and the sample corpus."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import pyarrow as pa

from pipeline.config import ScratchConfig
from pipeline.dataset_folder import DatasetCard, write_dataset
from pipeline.exchange import TripletReading, write_triplets
from pipeline.files.rows import LISTED_ROWS
from pipeline.files.source import Source, encoding_offer, make_source
from pipeline.generation.written_premises import cells
from pipeline.hub import HubName
from pipeline.premises import read_premises
from pipeline.records import InputError, Triplet, text_id
from pipeline.settings import checked_name, from_fields
from workbench.actions.call import Answer, action, guarded
from workbench.actions.curation import provenance
from workbench.actions.evaluation import find_snapshot
from workbench.actions.generation import checked_runs
from workbench.actions.models import resolve_llm
from workbench.jobs import places
from workbench.jobs.kinds import FetchPremisesSpec, WritePremisesSpec
from workbench.journal import Row, new_id, now
from workbench.paths import SAMPLE_CORPUS
from workbench.store.snapshots import Snapshot
from workbench.workspace import Workspace

KNOWN_CORPORA = {
    "wiki1m": ("princeton-nlp/datasets-for-simcse/wiki1m_for_simcse.txt", None),
    "nli": ("princeton-nlp/datasets-for-simcse/nli_for_simcse.csv", "sent0"),
}
"""Premises that papers use, by name: file on the hub and column."""
NAME = "sample corpus"
JUDGE, LLM = "likelihood:smollm2-135m", "smollm2-135m"


@action
def import_premises(
    workspace: Workspace,
    *,
    path: str | None = None,
    text: str | None = None,
    column: str | None = None,
    name: str | None = None,
    encoding: str | None = None,
) -> Answer:
    """Import a file, or pasted text, as a corpus; the answer counts premises, duplicates and rejected rows by reason.

    It also lists the first rejected rows, each with line and reason. `encoding` is that of text which is not UTF-8.
    """
    if path is not None:
        source = make_source(Path(path), encoding=encoding or "")
    elif text is not None:
        source = make_source(text.encode())
    else:
        raise InputError("Nothing to import: name a file or give some text.")
    return keep(workspace, source, column=column, name=Path(source.name).stem if name is None else name)


@action
def start_fetch_premises(
    workspace: Workspace,
    *,
    hub: str,
    revision: str = "",
    column: str | None = None,
    name: str | None = None,
    limit: int | None = None,
) -> Answer:
    """Queue the fetch of a corpus from the hub: a name of KNOWN_CORPORA, or OWNER/NAME/FILE of a data set."""
    file, usual = KNOWN_CORPORA.get(hub, (hub, None))
    wanted = HubName.parse(file, revision, "dataset")
    if limit is not None and limit < 1:
        raise InputError(f"The number of premises must be at least 1, got {limit}.")
    usual_name = hub if hub in KNOWN_CORPORA else Path(wanted.file).stem
    corpus = checked_name(usual_name if name is None else name, "a corpus")
    spec = FetchPremisesSpec(wanted.plain, wanted.revision, column or usual, corpus, limit)
    job_id = workspace.jobs.submit(spec, title=f"Premises of {corpus}")
    return {"job_id": job_id, "corpus_id": job_id, "name": corpus}


@action
def start_write_premises(
    workspace: Workspace,
    *,
    config: Annotated[dict[str, Any] | None, ScratchConfig] = None,
    name: str = "from scratch",
    on: str = places.LOCAL,
) -> Answer:
    """Queue the writing of premises from scratch, with the fields of a ScratchConfig; the corpus gets the job's id.

    `on`: local, gpu:NUMBER, gpu:0,1, ray or ray:ADDRESS. Raises InputError for an unknown genre or length, and for an
    LLM that cannot be used.
    """
    settings = from_fields(ScratchConfig, config or {})
    wanted = len(cells(settings)) * settings.per_cell
    corpus = checked_name(name, "a corpus")
    llm = resolve_llm(workspace, settings.llm)
    places.require_own_llm(on, llm.kind)
    spec = WritePremisesSpec(settings, llm, corpus, on=places.checked("write_premises", on))
    job_id = workspace.jobs.submit(spec, title=f"{corpus}: premises by {settings.llm}"[:120])
    return {"job_id": job_id, "corpus_id": job_id, "name": corpus, "wanted": wanted}


@guarded
def import_upload(
    workspace: Workspace, *, data: bytes, filename: str, column: str | None, name: str, encoding: str = ""
) -> Answer:
    """Import an uploaded file; its name tells the file type and is never used as a path."""
    return keep(workspace, make_source(data, filename, encoding=encoding), column=column, name=name)


def keep(workspace: Workspace, source: Source, *, column: str | None, name: str) -> Answer:
    """Read a file and store it as a corpus; InputError, with the reasons, if no premise is usable."""
    name = checked_name(name, "a corpus")
    read = read_premises(source.content, name=source.name, column=column, encoding=source.encoding)
    reasons = read.reasons()
    if not read.premises:
        why = ", ".join(f"{count} {reason}" for reason, count in reasons.items()) or "it is empty"
        raise InputError(f"{source.name} holds no usable premise ({why}): choose another file or column.")
    frame = pd.DataFrame(
        {"premise_id": [p.premise_id for p in read.premises], "text": [p.text for p in read.premises]}
    )
    corpus = workspace.store.premises.add_corpus(name, source.name, frame, reasons, read.duplicates)
    return {
        "corpus_id": corpus.corpus_id,
        "name": corpus.name,
        "premises": len(frame),
        "duplicates": read.duplicates,
        "rejected": reasons,
        "lines": read.lines,
        "rejected_rows": [row.as_dict() for row in read.rejected[:LISTED_ROWS]],
        "encoding": read.encoding,
        "encoding_offer": offered_encoding(source, reasons),
    }


def offered_encoding(source: Source, reasons: Mapping[str, int]) -> dict[str, str] | None:
    """Return the encoding to import again in, and a line read in it, where rows were rejected as not UTF-8."""
    offer = encoding_offer(source) if "not UTF-8" in reasons else None
    return {"encoding": offer[0], "sample": offer[1][:80]} if offer else None


@action
def import_triplets(
    workspace: Workspace,
    *,
    path: str,
    name: str | None = None,
    encoding: str | None = None,
    columns: list[str] | None = None,
) -> Answer:
    """Import triplets made elsewhere (a file or a datasets folder), to be judged, curated and trained on.

    The answer lists the first rejected rows with line and reason. `encoding` is that of text which is not UTF-8,
    `columns` are those of premise, positive and each hard negative where their names do not say so.
    """
    source = Path(path).expanduser()
    reading = TripletReading(source, encoding=encoding or "", columns=columns or ())
    return keep_triplets(workspace, reading, source.name, name=source.stem if name is None else name)


@guarded
def keep_triplets(workspace: Workspace, reading: TripletReading, filename: str, *, name: str) -> Answer:
    """Store the triplets of a file, a block in memory at a time; the counts add up to its lines."""
    name = checked_name(name, "an import")
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


@action
def export_triplets(
    workspace: Workspace,
    *,
    path: str,
    snapshot_id: str | None = None,
    attempt_ids: list[str] | None = None,
    form: str = "",
) -> Answer:
    """Write a snapshot, or the ok triplets of generation runs with people's decisions applied.

    The extension sets the format: csv, jsonl, json, parquet or xlsx; without one a datasets folder is written.
    `form` says whose names the columns have: simcse, sentence-transformers, flagembedding or argilla.
    """
    target, sets = Path(path).expanduser(), workspace.store.final_sets
    if form and not target.suffix:
        raise InputError("A datasets folder has one form; end the name with .jsonl or another format.")
    with ExitStack() as held:
        batches: Iterable[pa.RecordBatch]
        if snapshot_id:
            snapshot = find_snapshot(workspace, snapshot_id)
            batches, card = workspace.store.snapshots.batches(snapshot.snapshot_id), snapshot_card(snapshot)
        elif attempt_ids:
            reasons = sets.reasons(checked_runs(workspace, attempt_ids), None, None)
            if not sets.size(reasons):
                why = "no triplet has both sides ok, or people rejected them all"
                raise InputError(f"There is nothing to export: {why}.")
            batches = held.enter_context(sets.kept(attempt_ids, None, None))
            card = provenance_card("Triplets", provenance(workspace, attempt_ids, reasons))
        else:
            raise InputError("Nothing to export: name a snapshot or a generation run.")
        rows = triplets_of(batches)
        written = write_triplets(target, rows, form=form) if target.suffix else write_dataset(target, rows, card)
    return {"path": str(target), "triplets": written}


def triplets_of(batches: Iterable[pa.RecordBatch]) -> Iterator[Triplet]:
    """Yield the rows of batches as triplets."""
    for batch in batches:
        yield from map(Triplet, *(batch[name].to_pylist() for name in ("premise", "positive", "hard_negative")))


def snapshot_card(snapshot: Snapshot) -> DatasetCard:
    """Return the card of a snapshot: its rule, its judges, where its rows come from, its hashes."""
    facts = [("snapshot", snapshot.snapshot_id), ("frozen", snapshot.created_at), ("sha256", snapshot.sha256)]
    if snapshot.rule:
        facts += [("judge of the rule", str(snapshot.judge_id))]
        facts += [(name, f"{value:g}") for name, value in snapshot.rule.items()]
    card = provenance_card(snapshot.name, snapshot.details)
    return DatasetCard(card.title, {"Snapshot": facts} | card.facts)


def provenance_card(title: str, details: dict[str, Any]) -> DatasetCard:
    """Return a card of what `provenance` returned."""
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


@action
def open_sample(workspace: Workspace) -> Answer:
    """Import the sample corpus, which needs no LLM; in a workspace that has it already, return that one."""
    for corpus in workspace.store.premises.corpora():
        if corpus.name == NAME:
            return _answer(workspace, corpus.corpus_id)
    frame = pd.read_parquet(SAMPLE_CORPUS)
    corpus_id = new_id("corpus")
    header = {"kind": "corpus", "name": NAME, "origin": SAMPLE_CORPUS.name, "duplicates": 0, "rejected": {}}
    kept = workspace.store.imports.add(corpus_id, lambda: header, _rows(corpus_id, frame), digest=lambda: NAME)
    return _answer(workspace, kept)


def attempt_of(corpus_id: str, omega: float) -> str:
    """Return the id of the sample's triplets at this omega."""
    return f"{corpus_id}-omega-{omega:g}"


def _answer(workspace: Workspace, corpus_id: str) -> Answer:
    corpus = workspace.store.premises.corpus(corpus_id)
    attempts = [attempt_of(corpus_id, omega) for omega in (0.0, 0.6)]
    return {"corpus_id": corpus_id, "name": corpus.name, "premises": corpus.premises, "attempt_ids": attempts}


def _rows(corpus_id: str, frame: pd.DataFrame) -> Iterator[Row]:
    position_of = {text: position for position, text in enumerate(frame["premise"].drop_duplicates())}
    for text, position in position_of.items():
        place = {"corpus_id": corpus_id, "position": position}
        yield {"table": "premises", "premise_id": text_id(text), "text": text} | place
    for omega, part in frame.groupby("omega", sort=True):
        attempt_id = attempt_of(corpus_id, omega)
        named = {"name": f"sample, omega {omega:g}", "origin": SAMPLE_CORPUS.name, "duplicates": 0, "rejected": {}}
        yield {"table": "imports", "import_id": attempt_id, "kind": "triplets", "created_at": now()} | named
        # In the order of the premises, as studies take them: a run on a snapshot is then the same as a study's cell.
        in_order = part.sort_values("premise", key=lambda texts: texts.map(position_of), kind="stable")
        for row in in_order.to_dict("records"):
            yield from _triplet(attempt_id, row)


def _triplet(attempt_id: str, row: dict[str, Any]) -> Iterator[Row]:
    premise_id = text_id(row["premise"])
    triplet_id = f"{attempt_id}-{premise_id}"
    texts = ("premise", "positive", "hard_negative", "positive_outcome", "hard_negative_outcome", "contrast")
    yield {name: row[name] for name in texts} | {
        "table": "triplets",
        "triplet_id": triplet_id,
        "attempt_id": attempt_id,
        "premise_id": premise_id,
        "positive_raw": row["positive"],
        "hard_negative_raw": row["hard_negative"],
        "llm": LLM,
        "prompt_set": "default",
        "origin": "sample",
        "omega": float(row["omega"]),
        "seed": 0,
        "tokens": int(row["tokens"]),
    }
    if row["a"] == row["a"] and row["b"] == row["b"]:  # NaN: not judged
        scores = {name: float(row[name]) for name in ("a_raw", "b_raw", "a", "b")}
        named = {"judgement_id": f"{triplet_id}|{JUDGE}", "triplet_id": triplet_id, "judge_id": JUDGE}
        yield {"table": "judgements", "calibration": row["calibration"]} | named | scores
