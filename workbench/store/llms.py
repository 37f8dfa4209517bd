"""The registry of LLMs: a row per check or removal, append-only; the newest row of a name is its entry."""

import json
from dataclasses import dataclass

from pipeline.generation.llms.registry import EMBEDDED_ENTRY, LLMEntry
from pipeline.records import InputError
from workbench.journal import Row, Rows, new_id, now
from workbench.store.connection import Cursor, Database
from workbench.store.journals import Table, schema_of
from workbench.store.premises import Imports

_SCHEMA = schema_of(
    ("check_id", "name", "entry", "state", "message", "contrast", "sample", "checked_at"),
    counts=("context_length",),
    reals=("tokens_per_s", "load_s"),
)
_NEWEST = f"""
    SELECT {", ".join(_SCHEMA.names)} FROM llms
    QUALIFY row_number() OVER (PARTITION BY name ORDER BY checked_at DESC, check_id DESC) = 1 ORDER BY name
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

    name, schema, key = "llms", _SCHEMA, ("check_id", "name")

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
        rows = self._database.records(_NEWEST)
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
    facts = {name: row[name] for name in _SCHEMA.names if name not in ("check_id", "name", "entry")}
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
