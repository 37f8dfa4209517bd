"""Corpora as jobs: premises from scratch, counted again on resuming, and premises of the hub."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from itertools import islice
from typing import Any

from pipeline.config import ScratchConfig, plain
from pipeline.generation.llms.loading import loading_words, open_llm
from pipeline.generation.llms.meter import Usage
from pipeline.generation.llms.protocol import LLM, Metered
from pipeline.generation.premise_prompts import Length
from pipeline.generation.written_premises import Attempt, Cell, PremiseOutcome, cells, write_premises
from pipeline.hub import HubName, fetch
from pipeline.premises import PremiseFile, read_premises
from pipeline.records import InputError, text_id
from workbench.jobs import row_makers
from workbench.jobs.context import JobContext
from workbench.jobs.flushing import in_batches
from workbench.jobs.handlers.generation import usage_of, usage_rows
from workbench.jobs.kinds import FetchPremisesSpec, WritePremisesSpec
from workbench.jobs.on_cluster import LLMOnCluster
from workbench.jobs.places import Place
from workbench.jobs.ray_rows import RayRows
from workbench.journal import Row, now, read_rows

_REASONS = 8
_POSITION_BITS = 62


def run_write_premises(context: JobContext[WritePremisesSpec]) -> None:
    """Ask the LLM until every cell is full or its attempts are used up; the corpus has the id of the job."""
    config = context.spec.config
    entry = context.spec.llm
    job = _ScratchJob(context, config)
    if context.stop_requested() is None:
        job.report(loading_words(entry, entry.name))
        with closing(_opened(context)) as llm:
            context.restart_clock()  # the rate is that of writing
            job.report("Writing premises")
            job.write(llm)
    job.report(job.summary())


def _opened(context: JobContext[WritePremisesSpec]) -> LLM:
    config, entry, place = context.spec.config, context.spec.llm, Place.parse(context.spec.on)
    if place.engine != "ray":
        return open_llm(entry, for_many=True, precision=config.precision)
    maker = row_makers.WriteMaker(plain(config), entry)
    return LLMOnCluster(RayRows(place.address, maker))  # type: ignore[return-value]  # premises need no more of an LLM


class _ScratchJob:
    """One job: what is known of each cell, what was spent, and the rows that are written."""

    def __init__(self, context: JobContext[WritePremisesSpec], config: ScratchConfig) -> None:
        self._context, self._config = context, config
        self._wanted = dict.fromkeys(cells(config), config.per_cell)
        self._kept: Counter[Cell] = Counter()
        self._outcomes: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._spent = Usage()
        self._has_header = False
        self._owed: dict[str, str] = {}
        """Premises by id whose attempt is in the journal without their own row: a kill came between the two lines."""
        self._known = list(self._recorded())

    def write(self, llm: LLM) -> None:
        """Go on from what the journal holds."""
        self._context.write([row for text in self._owed.values() for row in self._premise(text)])
        if isinstance(llm, Metered):
            llm.spent = self._spent
        stream = write_premises(
            self._config, llm, known=self._known, should_stop=lambda: self._context.stop_requested() is not None
        )
        for batch in in_batches(stream):
            self._spent = llm.usage if isinstance(llm, Metered) else self._spent
            if isinstance(llm, LLMOnCluster):
                self._context.note(**llm.pool.details())
            self._context.write([*usage_rows(self._context.job_id, self._spent), *self._rows(batch)])
            for attempt in batch:
                self._count(attempt)
            self.report("Writing premises")

    def report(self, message: str) -> None:
        """Report how many premises there are, how the attempts ended, and how many cells are full."""
        details: dict[str, Any] = {
            "outcomes": dict(self._outcomes.most_common()),
            "reasons": dict(self._reasons.most_common(_REASONS)),
            "full_cells": self._full(),
            "cells": len(self._wanted),
        }
        if self._spent.calls:
            details["usage"] = asdict(self._spent)
        self._context.progress(self._kept.total(), sum(self._wanted.values()), message=message, **details)

    def summary(self) -> str:
        """Return the result in a sentence."""
        words = f"{self._kept.total():,} premises; {self._full():,} of {len(self._wanted):,} cells are full"
        if self._context.stop_seen is None and self._full() < len(self._wanted):
            words += ", the others used up their attempts"
        return f"{words}."

    def _full(self) -> int:
        return sum(self._kept[cell] >= wanted for cell, wanted in self._wanted.items())

    def _recorded(self) -> Iterator[Attempt]:
        for row in read_rows(self._context.folder.journal):
            if row["table"] == "premise_attempts":
                attempt = attempt_of(row)
                self._count(attempt)
                if attempt.outcome is PremiseOutcome.OK:
                    self._owed[text_id(attempt.text)] = attempt.text
                yield attempt
            elif row["table"] == "premises":
                self._owed.pop(row["premise_id"], None)
            elif row["table"] == "llm_usage":
                self._spent = usage_of(row)
            elif row["table"] == "imports":
                self._has_header = True

    def _count(self, attempt: Attempt) -> None:
        self._outcomes[str(attempt.outcome)] += 1
        if attempt.outcome is PremiseOutcome.OK:
            self._kept[attempt.cell] += 1
        if attempt.reason:
            self._reasons[attempt.reason] += 1

    def _rows(self, batch: Sequence[Attempt]) -> Iterator[Row]:
        """Yield the attempts, and the premises among them as rows of a corpus, which begins with its first one."""
        for attempt in batch:
            yield attempt_row(self._context.job_id, attempt)
            if attempt.outcome is PremiseOutcome.OK:
                yield from self._premise(attempt.text)

    def _premise(self, text: str) -> Iterator[Row]:
        if not self._has_header:
            self._has_header = True
            yield self._header()
        yield premise_row(self._context.job_id, text)

    def _header(self) -> Row:
        return {
            "table": "imports",
            "import_id": self._context.job_id,
            "kind": "corpus",
            "name": self._context.spec.corpus,
            "origin": f"written by {self._config.llm}",
            "duplicates": 0,
            "rejected": {},
            "created_at": now(),
        }


def premise_row(corpus_id: str, text: str) -> Row:
    """Return a premise as a row of its corpus.

    Its position is a hash: genres are written one after the other, and the first hundred premises of a corpus should
    be a fair sample of all.
    """
    premise_id = text_id(text)
    position = int(premise_id, 16) >> (64 - _POSITION_BITS)
    known = {"table": "premises", "corpus_id": corpus_id, "position": position}
    return known | {"premise_id": premise_id, "text": text}


def attempt_row(corpus_id: str, attempt: Attempt) -> Row:
    """Return an attempt as a journal row."""
    asked = attempt.asked
    return {
        "table": "premise_attempts",
        "corpus_id": corpus_id,
        "topic": asked.topic,
        "genre": asked.genre,
        "asked": str(asked.length),
        "number": attempt.number,
        "length": str(attempt.length),
        "text": attempt.text,
        "outcome": str(attempt.outcome),
        "reason": attempt.reason,
    }


def attempt_of(row: Row) -> Attempt:
    """Return the attempt behind a journal row."""
    return Attempt(
        Cell(row["topic"], row["genre"], Length(row["asked"])),
        row["number"],
        row["text"],
        Length(row["length"]),
        PremiseOutcome(row["outcome"]),
        row.get("reason", ""),
    )


_PREMISES_A_WRITE = 5_000


def run_fetch_premises(context: JobContext[FetchPremisesSpec]) -> None:
    """Fetch the file, read its premises, write them as the rows of a corpus whose id is the job's."""
    spec = context.spec
    context.progress(0, 1, message="Asking the hub")
    fetched = fetch(HubName.parse(spec.name, spec.revision, "dataset"))
    if context.stop_requested():
        return
    context.progress(0, 1, message="Reading the premises")
    read = read_premises(fetched.path, name=fetched.path.name, column=spec.column)
    if not read.premises:
        raise InputError(f"{fetched.name} holds no usable premise: choose another file or column.")
    limit = spec.limit or len(read.premises)
    rows = _premise_rows(context.job_id, read, limit)
    context.write([_import_row(context, spec.corpus, str(fetched.name), read)])
    total, done = min(limit, len(read.premises)), 0
    while batch := list(islice(rows, _PREMISES_A_WRITE)):
        context.write(batch)
        done += len(batch)
        context.progress(done, total, message="Keeping the premises")


def _import_row(context: JobContext, name: str, origin: str, read: PremiseFile) -> Row:
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


def _premise_rows(corpus_id: str, read: PremiseFile, limit: int) -> Iterator[Row]:
    for position, premise in enumerate(read.premises[:limit]):
        yield {
            "table": "premises",
            "corpus_id": corpus_id,
            "position": position,
            "premise_id": premise.premise_id,
            "text": premise.text,
        }
