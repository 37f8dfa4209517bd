"""A corpus of premises from the hub as a job: one file at a pinned revision, kept like an import."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pipeline.errors import InputError
from pipeline.hub_files import HubName, fetch_file
from pipeline.premises import PremiseFile, read_premises
from workbench.ids import now
from workbench.jobs.context import JobContext
from workbench.jobs.fetching import telling
from workbench.jobs.kinds import FetchPremisesSpec
from workbench.journal import Row

_BATCH = 5_000


def run(context: JobContext[FetchPremisesSpec]) -> None:
    """Fetch the file, read its premises, write them as the rows of a corpus whose id is the job's."""
    spec = context.spec
    wanted = HubName.parse(spec.name, spec.revision)
    fetched = fetch_file(wanted, context.out, tell=telling(context, f"Fetching {wanted.file}"))
    if context.stop_requested():
        return
    context.progress(0, 1, message="Reading the premises")
    read = read_premises(Path(fetched.path), name=fetched.path.name, column=spec.column)
    if not read.premises:
        raise InputError(f"{fetched.name} holds no usable premise: choose another file or column.")
    limit = spec.limit or len(read.premises)
    rows = _rows(context.job_id, read, limit)
    context.write([_header(context, spec.corpus, fetched.name, read)])
    total, done = min(limit, len(read.premises)), 0
    while batch := list(islice(rows, _BATCH)):
        context.write(batch)
        done += len(batch)
        context.progress(done, total, message="Keeping the premises")


def _header(context: JobContext, name: str, origin: str, read: PremiseFile) -> Row:
    return {
        "table": "imports",
        "import_id": context.job_id,
        "kind": "corpus",
        "name": name,
        "origin": origin,
        "duplicates": read.duplicates,
        "rejected": read.reasons(),
        "created_at": now(),
    }


def _rows(corpus_id: str, read: PremiseFile, limit: int) -> Iterator[Row]:
    for position, premise in enumerate(read.premises[:limit]):
        yield {
            "table": "premises",
            "corpus_id": corpus_id,
            "position": position,
            "premise_id": premise.premise_id,
            "text": premise.text,
        }
