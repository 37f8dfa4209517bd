"""Notes on what was seen: one JSON file each, beside the slices."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.durable import write_json
from pipeline.errors import InputError
from workbench.ids import new_id, now


@dataclass(frozen=True, slots=True)
class Note:
    """One note."""

    note_id: str
    about: str
    """What it is about: encoder, task and slice as one line."""
    text: str
    created_at: str


NoteList = list[Note]


class Notes:
    """The folder of notes of a workspace."""

    def __init__(self, workspace_root: Path) -> None:
        self.folder = workspace_root / "notes"

    def add(self, text: str, *, about: str) -> Note:
        """Keep a note; an empty one is an InputError."""
        if not text.strip():
            raise InputError("The note is empty: write what you saw.")
        note = Note(new_id("note"), about, text.strip(), now())
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / f"{note.note_id}.json", asdict(note))
        return note

    def list(self, about: str | None = None) -> NoteList:
        """Return notes, newest first; all of them, or those about one thing."""
        found = [Note(**json.loads(path.read_bytes())) for path in sorted(self.folder.glob("*.json"), reverse=True)]
        return [note for note in found if about in (None, note.about)]
