"""Small files of a workspace beside its database: slices, notes, settings of curation, own tests, prompt sets."""

import json
import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar

import pyarrow as pa

from pipeline.config import CurationRule
from pipeline.durable import write_json, write_text
from pipeline.evaluation.behaviour import Case, built_in_cases, case_of
from pipeline.generation.prompt_sets import PROMPT_SETS, SHIPPED, prompt_set
from pipeline.generation.prompts import PromptSet
from pipeline.records import InputError, text_id
from pipeline.settings import checked_name, from_fields
from workbench.journal import Row, Rows, append_rows, new_id, now, read_rows
from workbench.store.journals import schema_of

MAX_GUIDELINES_CHARS = 50_000
MOST_RULE_NAME_CHARS = 40
_ADDED, _RETRACTED = "behaviour_tests", "retracted_behaviour_tests"
_writing = Lock()
_log = logging.getLogger(__name__)


class Records:
    """A folder with one JSON file per record, whose names sort by time."""

    folder_name: ClassVar[str]
    kind: ClassVar[type[Any]]
    """What a file holds: a dataclass, whose lists are tuples."""

    def __init__(self, workspace_root: Path) -> None:
        self.folder = workspace_root / self.folder_name

    def _keep(self, record_id: str, record: dict[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / f"{record_id}.json", record)

    def _read(self) -> list[Any]:
        """Return the records, oldest first. A file that is none of them stops no other; the log names it."""
        found: list[Any] = []
        for path in sorted(self.folder.glob("*.json")):
            try:
                row = json.loads(path.read_bytes())
                found.append(self.kind(**{key: tuple(v) if isinstance(v, list) else v for key, v in row.items()}))
            except (OSError, ValueError, TypeError, AttributeError) as error:
                _log.warning("%s is left out, it is no record of this version: %s", path, error)
        return found


@dataclass(frozen=True, slots=True)
class Slice:
    """One saved list of triplets."""

    slice_id: str
    name: str
    triplet_ids: tuple[str, ...]
    origin: str
    """Where it was cut out: a map's id."""
    created_at: str


SliceList = list[Slice]


class Slices(Records):
    """The folder of slices of a workspace."""

    folder_name = "slices"
    kind = Slice

    def add(self, name: str, triplet_ids: Sequence[str], *, origin: str) -> Slice:
        """Save a slice; one without a name or without triplets is an InputError."""
        unique = tuple(dict.fromkeys(triplet_ids))
        if not name.strip() or not unique:
            raise InputError("A slice needs a name and at least one triplet: select points on the map first.")
        saved = Slice(new_id("slice"), checked_name(name, "a slice"), unique, origin, now())
        self._keep(saved.slice_id, asdict(saved))
        return saved

    def list(self) -> SliceList:
        """Return every slice, newest first."""
        return self._read()[::-1]


@dataclass(frozen=True, slots=True)
class CurationNotes:
    """Settings of curation that belong to the workspace."""

    guidelines: str = ""
    """Markdown shown beside the queue."""
    shared: float = 0.0
    """Share of triplets that every annotator decides without seeing the others' decisions; range [0, 1]."""
    rules: dict[str, CurationRule] = field(default_factory=dict)
    """Saved rules by name."""
    judge: str = ""
    """Judge whose scores Curate begins with; empty for the first by name."""


def read_notes(root: Path) -> CurationNotes:
    """Read the settings of curation of a workspace; where nothing was saved the defaults."""
    text, settings = root / "guidelines.md", root / "curation.json"
    guidelines = text.read_text(encoding="utf-8") if text.is_file() else ""
    fields: dict[str, Any] = {}
    if settings.is_file():
        try:
            fields = json.loads(settings.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{settings} is damaged ({error}); repair or remove it.") from error
    rules = {name: from_fields(CurationRule, rule) for name, rule in fields.get("rules", {}).items()}
    return CurationNotes(guidelines, float(fields.get("shared", 0.0)), rules, str(fields.get("judge", "")))


def write_notes(root: Path, notes: CurationNotes) -> None:
    """Save the settings of curation; a reader never sees half of a file."""
    if not 0 <= notes.shared <= 1:
        raise InputError(f"The share that every annotator decides must lie between 0 and 1, got {notes.shared}.")
    if len(notes.guidelines) > MAX_GUIDELINES_CHARS:
        raise InputError(
            f"The guidelines have {len(notes.guidelines):,} characters; at most {MAX_GUIDELINES_CHARS:,} are allowed."
        )
    write_text(root / "guidelines.md", notes.guidelines)
    rules = {name: asdict(rule) for name, rule in notes.rules.items()}
    settings = {"shared": notes.shared, "rules": rules, "judge": notes.judge}
    write_json(root / "curation.json", settings, indent=1)


@dataclass(frozen=True, slots=True)
class Note:
    """One note."""

    note_id: str
    about: str
    """What it is about: encoder, task and slice as one line."""
    text: str
    created_at: str


NoteList = list[Note]


class Notes(Records):
    """The folder of notes of a workspace."""

    folder_name = "notes"
    kind = Note

    def add(self, text: str, *, about: str) -> Note:
        """Keep a note; an empty one is an InputError."""
        if not text.strip():
            raise InputError("The note is empty: write down what you saw.")
        note = Note(new_id("note"), about, text.strip(), now())
        self._keep(note.note_id, asdict(note))
        return note

    def list(self, about: str | None = None) -> NoteList:
        """Return notes, newest first; all of them, or those about one thing."""
        return [note for note in reversed(self._read()) if about in (None, note.about)]


CaseList = list[Case]


class OwnTests:
    """The file of behavioural tests of your own; a retracted one stays in it, with a line that says so."""

    def __init__(self, workspace_root: Path) -> None:
        self.path = workspace_root / "behaviour_tests.jsonl"

    def list(self) -> CaseList:
        """Return the tests in order of addition, without the retracted ones."""
        found: dict[str, Case] = {}
        for row in read_rows(self.path):
            try:
                if row["table"] == _ADDED:
                    case = case_of(row["case"])
                    found[case.case_id] = case
                elif row["table"] == _RETRACTED:
                    found.pop(row["case_id"], None)
            except (InputError, KeyError, TypeError) as error:
                _log.warning("A line of %s is no behavioural test of this version: %s", self.path.name, error)
        return list(found.values())

    def add(self, case: Case) -> bool:
        """Add one; False when it is there already, among these or among the built-in ones."""
        with _writing:
            if case in self.list() or case in built_in_cases():
                return False
            append_rows(self.path, [{"table": _ADDED, "created_at": now(), "case": asdict(case)}])
        return True

    def retract(self, case_id: str) -> None:
        """Retract one. Raises InputError for one that is not there."""
        with _writing:
            if case_id not in {case.case_id for case in self.list()}:
                raise InputError("This test is not among those of the workspace: it may have been removed already.")
            append_rows(self.path, [{"table": _RETRACTED, "created_at": now(), "case_id": case_id}])


@dataclass(frozen=True, slots=True)
class PairSlice:
    """One saved list of pairs."""

    slice_id: str
    name: str
    task: str
    pair_ids: tuple[str, ...]
    """Hashes of the two sentences: the slice survives another order or a shorter file."""
    origin: str
    """Where it was cut out: encoder, task and slice as one line."""
    created_at: str


PairSliceList = list[PairSlice]


class PairSlices(Records):
    """The folder of pair slices of a workspace."""

    folder_name = "pair_slices"
    kind = PairSlice

    def add(self, name: str, pairs: Sequence[tuple[str, str]], *, task: str, origin: str) -> PairSlice:
        """Save a slice. Raises InputError without a name or a pair, and for a name that the task has already."""
        unique = tuple(dict.fromkeys(pair_ids(pairs)))
        if not name.strip() or not unique:
            raise InputError("A slice needs a name and at least one pair: select pairs first.")
        if name.strip() in {known.name for known in self.list(task)}:
            raise InputError(f"{task} has a slice called {name.strip()} already: choose another name.")
        saved = PairSlice(new_id("pairs"), name.strip(), task, unique, origin, now())
        self._keep(saved.slice_id, asdict(saved))
        return saved

    def list(self, task: str) -> PairSliceList:
        """Return the slices of a task, oldest first."""
        return [saved for saved in self._read() if saved.task == task]


def pair_ids(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Id of each pair: a hash of its two sentences in their order."""
    return [text_id(f"{first}\n{second}") for first, second in pairs]


PromptSetList = list[PromptSet]


class PromptSets:
    """The prompt sets saved in this workspace, together with those that come with the workbench."""

    def __init__(self, workspace_root: Path) -> None:
        self.path = workspace_root / "prompt_sets.jsonl"

    def own(self) -> PromptSetList:
        """Return every saved version, oldest first; the file is the only place they are kept."""
        found = []
        for row in read_rows(self.path):
            try:
                found.append(PromptSet.from_json(row["prompts"]))
            except (InputError, KeyError) as error:
                _log.warning("A line of %s is no prompt set of this version: %s", self.path.name, error)
        return found

    def newest(self) -> PromptSetList:
        """Return the newest version of every set: the shipped ones, then those saved here, latest first."""
        latest = {prompts.prompt_set_id: prompts for prompts in self.own()}
        return [*SHIPPED, *reversed(latest.values())]

    def find(self, ref: str) -> PromptSet:
        """Return the set of this name, or name@version; InputError naming the known ones."""
        return prompt_set(ref, self.own())

    def save(self, prompts: PromptSet) -> PromptSet:
        """Keep these prompts as the next version of their name; the names of shipped sets are taken."""
        if prompts.prompt_set_id in PROMPT_SETS:
            raise InputError(
                f"{prompts.prompt_set_id!r} is a set that comes with the workbench: save yours under another name."
            )
        with _writing:
            versions = [one.version for one in self.own() if one.prompt_set_id == prompts.prompt_set_id]
            saved = replace(prompts, version=max(versions, default=0) + 1)
            append_rows(self.path, [{"table": "prompt_sets", "created_at": now(), "prompts": saved.to_json()}])
        return saved


SNAPSHOT_SCHEMA = schema_of(
    ("snapshot_id", "name", "attempt_ids", "judge_id", "rule", "file", "sha256", "created_at", "details"),
    counts=("rows",),
)
_NEEDED = ("name", "rows", "file", "sha256", "created_at")


def read_descriptions(folder: Path, known: Collection[str] = ()) -> tuple[Rows, dict[str, str]]:
    """Return the descriptions of snapshots that are not `known`, and why others cannot be read: a sentence each."""
    found: Rows = []
    set_aside: dict[str, str] = {}
    for path in sorted(folder.glob("*.json")):
        if path.stem in known:
            continue
        try:
            row = json.loads(path.read_bytes())
            table = pa.Table.from_pylist([flat_description(row)], schema=SNAPSHOT_SCHEMA)
            if row["snapshot_id"] != path.stem or any(table[name].null_count for name in _NEEDED):
                raise ValueError("its name, its number of rows or its file is missing or of another snapshot")
        except OSError as error:
            set_aside[path.name] = f"{path} cannot be read ({error.strerror or error})."
        except (ValueError, TypeError, KeyError, AttributeError, pa.ArrowException) as error:
            set_aside[path.name] = f"{path} is no description of a snapshot ({type(error).__name__}: {error})."
        else:
            found.append(row)
    return found, set_aside


def flat_description(row: Row) -> Row:
    """Return the description of a snapshot with its lists and dicts as JSON."""
    return row | {
        "attempt_ids": json.dumps(list(row["attempt_ids"])),
        "rule": None if row["rule"] is None else json.dumps(dict(row["rule"]), sort_keys=True),
        "details": json.dumps(dict(row.get("details") or {}), sort_keys=True),
    }
