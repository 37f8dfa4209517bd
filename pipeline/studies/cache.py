"""Cache of the parts of studies: lines appended during the work, read back after a kill, shared by all studies."""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any

from pipeline.records import Triplet
from pipeline.weights import REMADE

_MODEL_SUFFIXES = (".safetensors", ".json", ".txt", ".model")
Progress = Callable[[str, int, int], None]
"""progress(current task, number done, total)."""


@dataclass(frozen=True, slots=True)
class StudyCache:
    """A folder with generated triplets, raw judgements and finished cells, each named by a hash."""

    root: Path
    vectors: Path
    """Folder of text vectors: the workspace's, or the cache's own."""

    def cell(self, cell_id: str) -> Path:
        """Folder of one cell."""
        return self.root / "cells" / cell_id

    def lines(self, kind: str, key: str) -> "Lines":
        """Return the lines of one kind of work, such as the triplets of one generation setting."""
        return Lines(self.root / kind / f"{key}.jsonl")


class Lines:
    """An append-only JSON-lines file; a line cut short by a kill is dropped at the next append."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield every whole line."""
        if self.path.is_file():
            content = self.path.read_bytes()
            for line in content[: content.rfind(b"\n") + 1].splitlines():
                yield json.loads(line)

    def append(self, rows: Iterable[dict[str, Any]]) -> None:
        """Add lines; they are on the disk when this returns."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            file.seek(0)
            content = file.read()
            file.truncate(content.rfind(b"\n") + 1)
            for row in rows:
                file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def content_key(*parts: Any) -> str:
    """Return a hash of JSON values; equal content has an equal key."""
    return blake2b(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode(), digest_size=12).hexdigest()


def model_key(name: str) -> str:
    """Return a key that identifies a model beyond its name.

    For a local model it is a hash of its weights and settings files, such as prompts; otherwise the name, with the
    version of a built-in one.
    """
    if name in REMADE:
        return f"{name} {REMADE[name]}"
    path = Path(name)
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.suffix in _MODEL_SUFFIXES)
    digests = []
    for file in files:
        with file.open("rb") as stream:
            digests.append([str(file.relative_to(path)), file_digest(stream, "blake2b").hexdigest()[:24]])
    return content_key(digests) if digests else name


def triplets_key(triplets: Iterable[Triplet]) -> str:
    """Hash of triplets in their order, and of a judge's scores where they have some."""
    return content_key(*(list(astuple(triplet)) for triplet in triplets))
