"""Named lists of scored pairs, cut out of a task: one JSON file each. They hold for every encoder on that task."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.durable import write_json
from pipeline.errors import InputError
from pipeline.records import text_id
from workbench.ids import new_id, now


@dataclass(frozen=True, slots=True)
class PairSlice:
    """One saved list of pairs."""

    slice_id: str
    name: str
    task: str
    pair_ids: tuple[str, ...]
    """Hashes of the two sentences, so that the slice survives another order or a shorter file."""
    origin: str
    """Where it was cut out: encoder, task and slice as one line."""
    created_at: str


PairSliceList = list[PairSlice]


class PairSlices:
    """The folder of pair slices of a workspace."""

    def __init__(self, workspace_root: Path) -> None:
        self.folder = workspace_root / "pair_slices"

    def add(self, name: str, pairs: Sequence[tuple[str, str]], *, task: str, origin: str) -> PairSlice:
        """Save a slice. Raises InputError without a name or a pair, and for a name that the task has already."""
        unique = tuple(dict.fromkeys(pair_ids(pairs)))
        if not name.strip() or not unique:
            raise InputError("A slice needs a name and at least one pair: select pairs first.")
        if name.strip() in {known.name for known in self.list(task)}:
            raise InputError(f"{task} has a slice called {name.strip()} already: choose another name.")
        saved = PairSlice(new_id("pairs"), name.strip(), task, unique, origin, now())
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / f"{saved.slice_id}.json", asdict(saved))
        return saved

    def list(self, task: str) -> PairSliceList:
        """Return the slices of a task, oldest first."""
        read = [json.loads(path.read_bytes()) for path in sorted(self.folder.glob("*.json"))]
        return [
            PairSlice(**fields | {"pair_ids": tuple(fields["pair_ids"])}) for fields in read if fields["task"] == task
        ]


def pair_ids(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Id of each pair: a hash of its two sentences in their order."""
    return [text_id(f"{first}\n{second}") for first, second in pairs]
