"""Encoders with their training runs, scores and embedding maps; the registry of LLMs and what they cost."""

import json
from dataclasses import dataclass, fields

from pipeline.evaluation.benchmark import HELD_OUT_TASK
from pipeline.generation.llms.registry import EMBEDDED_ENTRY, LLMEntry
from pipeline.records import InputError
from workbench.journal import Row, Rows, new_id, now
from workbench.store.connection import Cursor, Database, Frame
from workbench.store.journals import Table, checked, columns, insert, schema_of
from workbench.store.premises import Imports


@dataclass(frozen=True, slots=True)
class StoredEncoder:
    """One encoder: where its files lie and what it came from."""

    encoder_id: str
    name: str
    folder: str
    run_id: str | None
    snapshot_id: str | None
    base: str | None
    created_at: str | None


EncoderList = list[StoredEncoder]


_COLUMNS = [column.name for column in fields(StoredEncoder)]
_ENCODERS = f"SELECT {', '.join(_COLUMNS)} FROM encoders"


class Encoders(Table):
    """The table of encoders."""

    name, key = "encoders", ("encoder_id",)
    schema = schema_of(_COLUMNS)

    def list(self) -> EncoderList:
        """Return every encoder, newest first."""
        rows = self._database.rows(f"{_ENCODERS} ORDER BY created_at DESC NULLS LAST, encoder_id", kept=True)
        return [StoredEncoder(*row) for row in rows]

    def get(self, encoder_id: str) -> StoredEncoder:
        """Return one encoder; an unknown id is an InputError."""
        rows = self._database.rows(f"{_ENCODERS} WHERE encoder_id = ?", [encoder_id])
        if not rows:
            raise InputError(f"There is no encoder {encoder_id}; train or evaluate one first.")
        return StoredEncoder(*rows[0])


class Projections(Table):
    """The table of embedding maps."""

    name, key = "projections", ("projection_id",)
    schema = schema_of(
        ("projection_id", "encoder_id", "corpus", "method", "path"),
        ("points",),
        ("trustworthiness", "neighbour_recall"),
    )

    def list(self) -> Frame:
        """Return every embedding map, newest first."""
        return self._database.frame("SELECT * FROM projections ORDER BY projection_id DESC", kept=True)


_MEASURED = (
    *("loss", "info_nce", "learning_rate"),
    *("masked_share", "masked_positives", "masked_hard_negatives", "masked_own"),
    *("triplets_per_s", "memory_mb", "gpu_memory_mb", "gpu_use", "dev_score"),
)


class Runs(Table):
    """The table train_steps, joined with jobs for titles and states."""

    name, key = "train_steps", ("run_id", "step")
    schema = schema_of(("run_id",), ("step", "steps"), _MEASURED)

    def insert(self, cursor: Cursor, rows: Rows) -> int:
        """Insert steps. A resumed run repeats some: the first row stays, a dev score measured later is added."""
        table, rejected = checked(_merged(rows), self.schema, self.key)
        insert(
            cursor,
            table,
            f"INSERT INTO train_steps ({columns(table)}) SELECT {columns(table)} FROM incoming "
            "ON CONFLICT (run_id, step) "
            "DO UPDATE SET dev_score = coalesce(train_steps.dev_score, excluded.dev_score)",
        )
        return rejected

    def curve(self, run_id: str, *, most: int = 2000) -> Frame:
        """Return step, steps and everything that was measured, in order of steps; NaN where a value is missing.

        Of a long run every n-th step is returned, about `most` rows, with all steps that have a dev score or a loss
        that is not finite, and always the last step.
        """
        return self._database.frame(
            "WITH run AS (SELECT * EXCLUDE (run_id), count(*) OVER () // $most + 1 AS every, max(step) OVER () "
            "  AS last FROM train_steps WHERE run_id = $run_id) "
            "SELECT * EXCLUDE (every, last) FROM run WHERE step % every = 0 OR step = last "
            "  OR dev_score IS NOT NULL OR NOT isfinite(loss) ORDER BY step",
            {"run_id": run_id, "most": most},
            kept=True,
        )

    def list(self) -> Frame:
        """Return run_id, title, state, step, steps, loss, dev_score, best_dev_score, created_at, newest run first."""
        return self._database.frame(
            "SELECT job_id AS run_id, title, state, step, steps, loss, dev_score, best_dev_score, "
            "  created_at, finished_at "
            "FROM jobs LEFT JOIN (SELECT run_id, max(step) AS step, any_value(steps) AS steps, "
            "  arg_max(loss, step) AS loss, arg_max(dev_score, step) AS dev_score, "
            "  max(dev_score) AS best_dev_score "
            "  FROM train_steps GROUP BY run_id) ON run_id = job_id WHERE kind = 'train' ORDER BY job_id DESC",
            kept=True,
        )


def _merged(rows: Rows) -> Rows:
    """Give the first row of each step the first dev score reported for it, as the database does across batches."""
    merged: dict[tuple[object, object], Row] = {}
    for row in rows:
        first = merged.setdefault((str(row.get("run_id")), str(row.get("step"))), row)
        if first.get("dev_score") is None and row.get("dev_score") is not None:
            merged[str(row.get("run_id")), str(row.get("step"))] = first | {"dev_score": row["dev_score"]}
    return list(merged.values())


class Scores(Table):
    """The table of scores by encoder, task and job. Spearman is a fraction, multiplied by 100 only on screen."""

    name, key = "scores", ("encoder_id", "task", "job_id")
    schema = schema_of(key, ("pairs",), ("spearman", "accuracy", "ndcg"))

    def matrix(self) -> Frame:
        """Return encoder_id, task, spearman, pairs, job_id: the latest job's score of every encoder and task."""
        return self._database.frame(
            "SELECT encoder_id, task, arg_max(spearman, job_id) AS spearman, arg_max(pairs, job_id) AS pairs, "
            "max(job_id) AS job_id "
            "FROM scores WHERE spearman IS NOT NULL AND NOT isnan(spearman) "
            "GROUP BY encoder_id, task ORDER BY encoder_id, task",
            kept=True,
        )

    def transfer(self) -> Frame:
        """Return encoder_id, task, accuracy, examples, job_id: the latest job's accuracy on each transfer task."""
        return self._database.frame(
            "SELECT encoder_id, task, arg_max(accuracy, job_id) AS accuracy, arg_max(pairs, job_id) AS examples, "
            "max(job_id) AS job_id FROM scores WHERE accuracy IS NOT NULL AND task <> ? "
            "GROUP BY encoder_id, task ORDER BY encoder_id, task",
            [HELD_OUT_TASK],
            kept=True,
        )

    def retrieval(self) -> Frame:
        """Return encoder_id, task, ndcg (at 10), queries, job_id: the latest job's score of each retrieval task."""
        return self._database.frame(
            "SELECT encoder_id, task, arg_max(ndcg, job_id) AS ndcg, arg_max(pairs, job_id) AS queries, "
            "max(job_id) AS job_id FROM scores WHERE ndcg IS NOT NULL GROUP BY encoder_id, task "
            "ORDER BY encoder_id, task",
            kept=True,
        )

    def held_out(self) -> Frame:
        """Return encoder_id, accuracy, triplets: the latest share of held-out triplets each encoder orders right."""
        return self._database.frame(
            "SELECT encoder_id, arg_max(accuracy, job_id) AS accuracy, arg_max(pairs, job_id) AS triplets "
            "FROM scores WHERE accuracy IS NOT NULL AND task = ? GROUP BY encoder_id ORDER BY encoder_id",
            [HELD_OUT_TASK],
            kept=True,
        )


_CHECKS = schema_of(
    ("check_id", "name", "entry", "state", "message", "contrast", "sample", "checked_at"),
    counts=("context_length",),
    reals=("tokens_per_s", "load_s"),
)
_NEWEST = f"""
    SELECT {", ".join(_CHECKS.names)} FROM llms
    QUALIFY row_number() OVER (PARTITION BY name ORDER BY check_id DESC) = 1 ORDER BY name
"""


@dataclass(frozen=True, slots=True)
class RegisteredLLM:
    """An LLM with what its last check found; the embedded one is there before any check."""

    entry: LLMEntry
    state: str
    """ok, failed (message says why), or unchecked."""
    message: str = ""
    contrast: str = ""
    """token, sequence or none."""
    sample: str = ""
    checked_at: str = ""
    context_length: int | None = None
    tokens_per_s: float | None = None
    load_s: float | None = None


LLMList = list[RegisteredLLM]
_REMOVED = "removed"


class LLMs(Table):
    """The table of checks and removals."""

    name, schema, key = "llms", _CHECKS, ("check_id", "name")

    def __init__(self, database: Database, imports: Imports) -> None:
        super().__init__(database)
        self._imports = imports

    def insert(self, cursor: Cursor, rows: Rows) -> int:
        """Insert checks; one whose id is already there is left as it was, one without a usable entry is rejected."""
        usable = [row for row in rows if _entry(row.get("entry")) is not None]
        return super().insert(cursor, usable) + len(rows) - len(usable)

    def flat(self, row: Row) -> Row:
        """Return the row with its entry as JSON."""
        entry = row["entry"]
        return row | {"entry": entry if isinstance(entry, str) else json.dumps(entry, sort_keys=True)}

    def list(self) -> LLMList:
        """Return every LLM by name, the embedded one first."""
        rows = self._database.records(_NEWEST, kept=True)
        known = {row["name"]: _registered(row) for row in rows if row["state"] != _REMOVED}
        embedded = known.pop(EMBEDDED_ENTRY.name, RegisteredLLM(EMBEDDED_ENTRY, "ok", contrast="token"))
        return [embedded, *known.values()]

    def get(self, name: str) -> RegisteredLLM:
        """Return one LLM; an unknown name is an InputError."""
        for llm in self.list():
            if llm.entry.name == name:
                return llm
        names = ", ".join(llm.entry.name for llm in self.list())
        raise InputError(f"There is no LLM {name!r} in this workspace (it has {names}); add it first.")

    def remove(self, name: str) -> None:
        """Take an LLM out of the list; its checks, and what it wrote, stay.

        A removal is kept like an import: a rebuild finds it. Raises InputError for the embedded LLM and for
        an unknown one.
        """
        entry = self.get(name).entry
        if entry.kind == EMBEDDED_ENTRY.kind:
            raise InputError(f"{name} is the embedded LLM, which is always there.")
        removal_id = new_id("llms")
        row = {"check_id": removal_id, "name": name, "entry": entry.to_json(), "checked_at": now()}
        header = {"kind": "removal", "name": name, "origin": "", "duplicates": 0, "rejected": {}}
        self._imports.add(removal_id, lambda: header, [{"table": "llms", "state": _REMOVED} | row])


def _registered(row: Row) -> RegisteredLLM:
    entry = _entry(row["entry"])
    assert entry is not None, "only rows with a usable entry are stored"
    facts = {name: row[name] for name in _CHECKS.names if name not in ("check_id", "name", "entry")}
    return RegisteredLLM(entry, **facts)


def _entry(stored: object) -> LLMEntry | None:
    """Return the entry in a journal row (a dict) or a table row (its JSON); None when it is unusable."""
    try:
        fields = json.loads(stored) if isinstance(stored, str) else stored
        return LLMEntry.from_json(fields) if isinstance(fields, dict) else None
    except (TypeError, ValueError):  # InputError is a ValueError
        return None


class LLMUsage(Table):
    """The table of what servers charged for: running totals of each generation run, numbered."""

    name, key = "llm_usage", ("attempt_id", "number")
    schema = schema_of(("attempt_id",), ("number", "calls", "prompt_tokens", "reply_tokens"), ("money",))

    def of(self, attempt_id: str) -> dict[str, float] | None:
        """Return calls, prompt_tokens, reply_tokens and money of a generation run; None if no server charged."""
        found = self._database.records(
            "SELECT calls, prompt_tokens, reply_tokens, money FROM llm_usage WHERE attempt_id = ? "
            "ORDER BY number DESC LIMIT 1",
            [attempt_id],
        )
        return found[0] if found else None
