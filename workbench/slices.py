"""Named lists of triplets, cut out of a map or a table: one JSON file each."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.durable import write_json
from pipeline.errors import InputError
from pipeline.settings import checked_name
from workbench.ids import new_id, now


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


class Slices:
    """The folder of slices of a workspace."""

    def __init__(self, workspace_root: Path) -> None:
        self.folder = workspace_root / "slices"

    def add(self, name: str, triplet_ids: Sequence[str], *, origin: str) -> Slice:
        """Save a slice; one without a name or without triplets is an InputError."""
        unique = tuple(dict.fromkeys(triplet_ids))
        if not name.strip() or not unique:
            raise InputError("A slice needs a name and at least one triplet: select points on the map first.")
        saved = Slice(new_id("slice"), checked_name(name, "a slice"), unique, origin, now())
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / f"{saved.slice_id}.json", asdict(saved))
        return saved

    def list(self) -> SliceList:
        """Return every slice, newest first."""
        return [_slice(json.loads(path.read_bytes())) for path in sorted(self.folder.glob("*.json"), reverse=True)]

    def get(self, slice_id: str) -> Slice:
        """Return one slice; an unknown id is an InputError."""
        for saved in self.list():
            if saved.slice_id == slice_id:
                return saved
        raise InputError(f"There is no slice {slice_id}; save a selection of the map as a slice first.")


def _slice(fields: dict[str, Any]) -> Slice:
    return Slice(**fields | {"triplet_ids": tuple(fields["triplet_ids"])})
