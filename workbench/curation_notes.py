"""What a team agrees on before it curates: guidelines, the share annotated twice, rules by name; kept as files."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipeline.config import CurationRule, from_fields
from pipeline.durable import write_json, write_text
from pipeline.errors import InputError

MAX_GUIDELINES_CHARS = 50_000
MOST_RULE_NAME_CHARS = 40


@dataclass(frozen=True, slots=True)
class CurationNotes:
    """Settings of curation that belong to the workspace."""

    guidelines: str = ""
    """Markdown shown beside the queue."""
    shared: float = 0.0
    """Share of triplets that every annotator decides without seeing the others' decisions; range [0, 1]."""
    rules: dict[str, CurationRule] = field(default_factory=dict)
    """Saved rules by name."""


def read_notes(root: Path) -> CurationNotes:
    """Read the notes of a workspace; none yet are empty ones."""
    text, settings = root / "guidelines.md", root / "curation.json"
    guidelines = text.read_text(encoding="utf-8") if text.is_file() else ""
    fields: dict[str, Any] = {}
    if settings.is_file():
        try:
            fields = json.loads(settings.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{settings} is damaged ({error}); repair or remove it.") from error
    rules = {name: from_fields(CurationRule, rule) for name, rule in fields.get("rules", {}).items()}
    return CurationNotes(guidelines, float(fields.get("shared", 0.0)), rules)


def write_notes(root: Path, notes: CurationNotes) -> None:
    """Keep the notes; a reader never sees half of them."""
    if not 0 <= notes.shared <= 1:
        raise InputError(f"The share annotated twice must lie in 0..1, got {notes.shared}.")
    if len(notes.guidelines) > MAX_GUIDELINES_CHARS:
        raise InputError(f"The guidelines have {len(notes.guidelines):,} characters; keep them below 50,000.")
    write_text(root / "guidelines.md", notes.guidelines)
    settings = {"shared": notes.shared, "rules": {name: asdict(rule) for name, rule in notes.rules.items()}}
    write_json(root / "curation.json", settings, indent=1)
