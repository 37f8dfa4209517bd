"""Bringing premises in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.config import ScratchConfig, from_fields
from pipeline.errors import InputError
from pipeline.files.rows import LISTED_ROWS
from pipeline.files.source import Source, encoding_offer, make_source
from pipeline.generation.premise_filing import cells
from pipeline.hub_files import HubName
from pipeline.premises import read_premises
from pipeline.settings import checked_name
from workbench.actions.llms import resolve_llm
from workbench.jobs.kinds import FetchPremisesSpec, WritePremisesSpec
from workbench.workspace import Workspace


def import_premises(
    workspace: Workspace,
    *,
    path: str | None = None,
    text: str | None = None,
    column: str | None = None,
    name: str | None = None,
    encoding: str | None = None,
) -> dict[str, Any]:
    """Import a file, or pasted text, as a corpus; the answer counts what was kept, doubled and rejected by reason.

    It also lists the first rejected rows, each with line and reason. `encoding` is that of text which is not UTF-8.
    """
    if path is not None:
        source = make_source(Path(path), encoding=encoding or "")
    elif text is not None:
        source = make_source(text.encode())
    else:
        raise InputError("Nothing to import: name a file or give some text.")
    return keep(workspace, source, column=column, name=Path(source.name).stem if name is None else name)


KNOWN_CORPORA = {
    "wiki1m": ("princeton-nlp/datasets-for-simcse/wiki1m_for_simcse.txt", None),
    "nli": ("princeton-nlp/datasets-for-simcse/nli_for_simcse.csv", "sent0"),
}
"""Premises that papers use, by name: file on the hub and column."""


def start_fetch_premises(
    workspace: Workspace,
    *,
    hub: str,
    revision: str = "",
    column: str | None = None,
    name: str | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """Queue the fetch of a corpus from the hub: a name of KNOWN_CORPORA, or OWNER/NAME/FILE of a data set."""
    file, usual = KNOWN_CORPORA.get(hub, (hub, None))
    wanted = HubName.parse(file, revision)
    if not wanted.file:
        raise InputError(f"{hub} names no file of a data set: write OWNER/NAME/FILE, or {', '.join(KNOWN_CORPORA)}.")
    if limit is not None and limit < 1:
        raise InputError(f"The number of premises must be at least 1, got {limit}.")
    usual_name = hub if hub in KNOWN_CORPORA else Path(wanted.file).stem
    corpus = checked_name(usual_name if name is None else name, "a corpus")
    spec = FetchPremisesSpec(file, wanted.revision, column or usual, corpus, limit)
    job_id = workspace.jobs.submit(spec, title=f"Premises of {corpus}")
    return {"job_id": job_id, "corpus_id": job_id, "name": corpus}


def start_write_premises(
    workspace: Workspace, *, config: dict[str, Any] | None = None, name: str = "from scratch"
) -> dict[str, Any]:
    """Queue premises from scratch by the fields of a ScratchConfig; the corpus has the id of the job.

    Raises InputError for a genre or length that nobody has worded, and for an LLM that cannot be used.
    """
    settings = from_fields(ScratchConfig, config or {})
    wanted = len(cells(settings)) * settings.per_cell
    corpus = checked_name(name, "a corpus")
    spec = WritePremisesSpec(settings, resolve_llm(workspace, settings.llm), corpus)
    job_id = workspace.jobs.submit(spec, title=f"{corpus}: premises by {settings.llm}"[:120])
    return {"job_id": job_id, "corpus_id": job_id, "name": corpus, "wanted": wanted}


def import_upload(
    workspace: Workspace, *, data: bytes, filename: str, column: str | None, name: str, encoding: str = ""
) -> dict[str, Any]:
    """Import an uploaded file, whose name serves as its type and as data only."""
    return keep(workspace, make_source(data, filename, encoding=encoding), column=column, name=name)


def keep(workspace: Workspace, source: Source, *, column: str | None, name: str) -> dict[str, Any]:
    """Read a file and store it; a file without a single usable premise is refused with its reasons."""
    name = checked_name(name, "a corpus")
    read = read_premises(source.content, name=source.name, column=column, encoding=source.encoding)
    reasons = read.reasons()
    if not read.premises:
        told = ", ".join(f"{count} {reason}" for reason, count in reasons.items()) or "it is empty"
        raise InputError(f"{source.name} holds no usable premise ({told}): choose another file or column.")
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
