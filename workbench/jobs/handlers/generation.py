"""Stage 1 as a job: every premise of the input becomes one journal row with an outcome per side.

Premises are read and rows written as a stream: memory does not grow with the corpus.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, fields
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import GenerationConfig
from pipeline.generation import outcomes, prompt_sets, triplets
from pipeline.generation.llms import loading, registry
from pipeline.generation.llms.meter import Usage
from pipeline.generation.llms.protocol import LLM, Metered
from pipeline.generation.prompts import PromptSet
from pipeline.generation.text_key import text_key
from pipeline.records import Contrast, GeneratedTriplet, Outcome, Premise, Side, SideResult
from workbench.jobs import row_makers
from workbench.jobs.context import JobContext
from workbench.jobs.flushing import in_batches
from workbench.jobs.folder import JobFolder
from workbench.jobs.kinds import GenerateSpec
from workbench.jobs.places import Place
from workbench.jobs.ray_rows import RayRows
from workbench.journal import Row, Rows, read_rows

_CHUNK = 10_000


class CompactIds:
    """Immutable set of ids, each kept as 64 bits, the size of a premise's id."""

    def __init__(self, ids: Iterable[str] = ()) -> None:
        chunks = list(_chunks(iter(ids)))
        self._sorted = np.unique(np.concatenate(chunks)) if chunks else np.empty(0, dtype=np.uint64)

    def __contains__(self, one: str) -> bool:
        place = int(np.searchsorted(self._sorted, (number := _number(one))))
        return place < len(self._sorted) and int(self._sorted[place]) == int(number)

    def __len__(self) -> int:
        return len(self._sorted)

    def plus(self, other: "CompactIds") -> "CompactIds":
        """Return the union."""
        both = CompactIds()
        both._sorted = np.union1d(self._sorted, other._sorted)
        return both


def _chunks(ids: Iterator[str]) -> Iterator[NDArray[np.uint64]]:
    while chunk := [_number(one) for one in islice(ids, _CHUNK)]:
        yield np.array(chunk, dtype=np.uint64)


def _number(one: str) -> np.uint64:
    try:
        if len(one) == 16:
            return np.uint64(int(one, 16))
    except ValueError:
        pass
    return np.uint64(int.from_bytes(blake2b(one.encode("utf-8", "replace"), digest_size=8).digest()))


def earlier_rows(job: Path, *, text_key: str, wanted: CompactIds, done: CompactIds) -> Iterator[Row]:
    """Yield an earlier job's triplet row for each wanted premise that is not done yet.

    Each row carries its key: rows of a run with another omega, seed, prompt or weights never match. Failed rows are
    not reused, as they may succeed this time.
    """
    for row in read_rows(JobFolder(job).journal):
        is_ours = row["table"] == "triplets" and row.get("text_key") == text_key
        if not is_ours or "failed" in (row.get("positive_outcome"), row.get("hard_negative_outcome")):
            continue
        premise_id = str(row.get("premise_id"))
        if premise_id in wanted and premise_id not in done:
            yield row


_ROWS_AT_A_TIME = 2_000
_REASONS = 8


def run_generate(context: JobContext[GenerateSpec]) -> None:
    """Generate for the premises that neither the journal nor an earlier run of the same key holds."""
    place = Place.parse(context.spec.on)
    if place.engine == "ray":
        _on_ray(context, place.address)
        return
    config = context.spec.config
    # Jobs of earlier versions hold the names of prompts and LLM only.
    prompts = context.spec.prompts or prompt_sets.prompt_set(config.prompt_set)
    entry = context.spec.llm or registry.entry_for(config.llm)
    if loading.tries_engines(entry):  # the key of its rows names the engine, which has to be found first
        context.progress(0, context.input_rows(), message=loading.loading_words(entry, entry.name))
        context.restart_clock()
    run_of_job = _GenerateJob(context, config, prompts, text_key(config, prompts, entry))
    run_of_job.take_over_earlier()
    if run_of_job.finished >= run_of_job.total:
        return
    run_of_job.report(f"Loading {entry.name}")
    if entry.batch_api:
        _through_batches(context, entry, run_of_job)
        return
    with closing(loading.open_llm(entry, for_many=True, precision=config.precision)) as llm:
        run_of_job.write(llm)


def _on_ray(context: JobContext[GenerateSpec], address: str) -> None:
    """Generate on the nodes of a Ray cluster; rows of earlier runs are taken over before any node loads an LLM.

    The key of the rows is that of the nodes, which may have other weights, packages and devices than this machine.
    """
    spec = context.spec
    prompts = spec.prompts or prompt_sets.prompt_set(spec.config.prompt_set)
    entry = spec.llm or registry.entry_for(spec.config.llm)
    context.progress(0, context.input_rows(), message="Waiting for a node of the cluster")
    with closing(RayRows(address, row_makers.GenerateMaker(spec.config, prompts, entry))) as pool:
        key = pool.identity(context.is_to_stop)
        if key is None:
            return
        run_of_job = _GenerateJob(context, spec.config, prompts, key)
        run_of_job.take_over_earlier()
        if run_of_job.finished < run_of_job.total:
            run_of_job.write_from(pool)


def _through_batches(context: JobContext[GenerateSpec], entry: registry.LLMEntry, run_of_job: "_GenerateJob") -> None:
    """Generate through the provider's Batch API; a pause leaves the batches there, any other end cancels them."""
    from pipeline.generation.llms.batches import BatchLLM

    with closing(BatchLLM(entry, context.out, run=context.job_id, tell=run_of_job.report)) as llm:
        run_of_job.write(llm)
        if context.stop_seen in ("cancel", "finish"):
            llm.cancel()


class _GenerateJob:
    """One job: what is done, what was spent, and the rows that are written."""

    def __init__(
        self, context: JobContext[GenerateSpec], config: GenerationConfig, prompts: PromptSet, key: str
    ) -> None:
        self._context, self._config, self._prompts, self._key = context, config, prompts, key
        self._counts: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._spent = Usage()
        self._engine = ""
        self._noted: dict[str, Any] = {}
        self._reused = 0
        self._done = CompactIds(self._recorded())
        self.finished = len(self._done)
        self.total = context.input_rows()

    def take_over_earlier(self) -> None:
        """Copy matching rows of earlier runs, at the cost of reading them."""
        earlier = self._context.spec.earlier
        if not earlier:
            return
        wanted = CompactIds(premise_id for premise_id, _ in self._context.input_tuples("premise_id", "text"))
        for job_id in earlier:
            job = self._context.folder.path.parent / job_id
            found = earlier_rows(job, text_key=self._key, wanted=wanted, done=self._done)
            taken = CompactIds(self._taken(found))
            self._done = self._done.plus(taken)

    def _taken(self, found: Iterator[Row]) -> Iterator[str]:
        """Write these rows as this job's own; yields their premises."""
        while rows := [self._taken_over(known) for known in islice(found, _ROWS_AT_A_TIME)]:
            self._context.write(rows)
            self._note(rows)
            self._reused += len(rows)
            self.report("Reusing rows of earlier runs")
            yield from (row["premise_id"] for row in rows)

    def write(self, llm: LLM) -> None:
        """Generate for the rest."""
        waiting = (Premise(premise_id, text) for premise_id, text in self._waiting())
        if isinstance(llm, Metered):
            llm.spent = self._spent
        self._engine = engine_of(llm)
        stream = triplets.generate(
            waiting, self._config, llm, prompts=self._prompts, should_stop=self._context.is_to_stop
        )
        for batch in in_batches(stream):
            self._spent = llm.usage if isinstance(llm, Metered) else self._spent
            self._noted = of_server(llm)
            self._keep(batch)

    def write_from(self, pool: RayRows) -> None:
        """Generate for the rest on a cluster; this process does the writing."""
        self._noted = pool.details()
        self.report("Loading the LLM on the nodes")
        for batch in pool.results(self._waiting(), self.total - self.finished, self._context.is_to_stop):
            self._noted = pool.details()
            self._keep([item for _, item in batch])

    def _waiting(self) -> Iterator[tuple[str, str]]:
        return ((i, text) for i, text in self._context.input_tuples("premise_id", "text") if i not in self._done)

    def _keep(self, batch: Sequence[GeneratedTriplet]) -> None:
        """Write a batch, after what was charged for it."""
        rows = [row(self._context.job_id, self._context.spec.origin, self._config, item, self._key) for item in batch]
        self._context.write([*usage_rows(self._context.job_id, self._spent), *rows])
        self._note(rows)
        self.report("Generating")

    def report(self, message: str) -> None:
        """Report progress, counts per outcome and the usage that was charged."""
        details: dict[str, Any] = {
            "outcomes": dict(self._counts),
            "reasons": dict(self._reasons.most_common(_REASONS)),
        }
        if self._engine:
            details["engine"] = self._engine
        if self._reused:
            details["reused"] = self._reused
        details |= self._noted
        if self._spent.calls:
            details["usage"] = asdict(self._spent)
        self._context.progress(self.finished, self.total, message=message, **details)

    def _recorded(self) -> Iterator[str]:
        """Yield the premises of the journal, counting their outcomes again and noting what was spent."""
        for known in read_rows(self._context.folder.journal):
            if known["table"] == "triplets" and "premise_id" in known:
                self._count(known)
                yield str(known["premise_id"])
            elif known["table"] == "llm_usage":
                self._spent = usage_of(known)

    def _taken_over(self, known: Row) -> Row:
        job_id = self._context.job_id
        return cleaned_again(known, self._prompts) | {
            "triplet_id": f"{job_id}-{known['premise_id']}",
            "attempt_id": job_id,
            "origin": self._context.spec.origin,
            "llm": self._config.llm,
            "prompt_set": self._config.prompt_set,
            "reused_from": known["attempt_id"],
        }

    def _note(self, rows: Iterable[Row]) -> None:
        for known in rows:
            self._count(known)
            self.finished += 1

    def _count(self, known: Row) -> None:
        self._counts[f"positive {known['positive_outcome']}"] += 1
        self._counts[f"hard negative {known['hard_negative_outcome']}"] += 1
        for name in ("positive_reason", "hard_negative_reason"):
            if known.get(name):
                self._reasons[known[name]] += 1


def usage_rows(job_id: str, spent: Usage) -> Rows:
    """Return the journal row of what a server has charged so far; none if it was not called."""
    row = {"table": "llm_usage", "attempt_id": job_id, "number": spent.calls, **asdict(spent)}
    return [row] if spent.calls else []


def usage_of(row: Row) -> Usage:
    """Return the usage that a journal row records."""
    return Usage(**{field.name: row[field.name] for field in fields(Usage)})


def cleaned_again(known: Row, prompts: PromptSet) -> Row:
    """Return a stored row with text and outcome of both sides as today's clean-up finds them in the raw replies."""
    sides: dict[Side, SideResult] = {}
    for side in Side:
        outcome, raw = Outcome(known[f"{side}_outcome"]), known.get(f"{side}_raw")
        if not isinstance(raw, str) or outcome in (Outcome.FAILED, Outcome.TOO_LONG):
            return known
        is_cut = outcome is Outcome.TRUNCATED
        sides[side] = outcomes.classify(raw, known["premise"], side, prompts, cut=is_cut, tokens=0)
    if sides[Side.POSITIVE].outcome is Outcome.OK:
        sides[Side.HARD_NEGATIVE] = outcomes.unlike(sides[Side.HARD_NEGATIVE], sides[Side.POSITIVE])
    texts = {str(side): result.text for side, result in sides.items()}
    return known | texts | {f"{side}_outcome": str(result.outcome) for side, result in sides.items()}


def of_server(llm: LLM) -> dict[str, Any]:
    """Return what a run has to say of its server: settings that were refused, and how many lists were too short."""
    from pipeline.generation.llms.remote import RemoteLLM

    if not isinstance(llm, RemoteLLM):
        return {}
    said: dict[str, Any] = {"left_out": llm.entry.left_out} if llm.entry.left_out else {}
    if steps := llm.steps.total():
        said["token_lists"] = {"steps": steps, "short": llm.steps[True]}
    return said


def engine_of(llm: LLM) -> str:
    """Return the name of the engine where this machine has a choice; empty otherwise."""
    from pipeline.generation.llms.gguf import GgufLLM

    return llm.llama.kind if isinstance(llm, GgufLLM) else ""


def row(attempt_id: str, origin: str, config: GenerationConfig, item: GeneratedTriplet, key: str = "") -> Row:
    """Return the journal row of one generated triplet; omega is 0 where no contrast took part."""
    settings = asdict(config)
    omega = 0.0 if item.contrast is Contrast.NONE else config.omega
    reasons = {"positive_reason": item.positive, "hard_negative_reason": item.hard_negative}
    return {
        "table": "triplets",
        "triplet_id": f"{attempt_id}-{item.premise.premise_id}",
        "attempt_id": attempt_id,
        "premise_id": item.premise.premise_id,
        "premise": item.premise.text,
        "positive": item.positive.text,
        "hard_negative": item.hard_negative.text,
        "positive_raw": item.positive.raw,
        "hard_negative_raw": item.hard_negative.raw,
        "positive_outcome": str(item.positive.outcome),
        "hard_negative_outcome": str(item.hard_negative.outcome),
        "contrast": str(item.contrast),
        "tokens": item.positive.tokens + item.hard_negative.tokens,
        "origin": origin,
        **{name: settings[name] for name in ("seed", "llm", "prompt_set")},
        "omega": omega,
        "text_key": key,
        **{name: side.reason for name, side in reasons.items() if side.reason},
    }
