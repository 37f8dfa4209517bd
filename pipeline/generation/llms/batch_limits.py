"""How many replies fit into memory side by side: learned from running out of it, and kept for the next run."""

import json
from pathlib import Path

from pipeline.durable import write_json

_FILE = "batch-limits.json"


class BatchLimits:
    """The limit of one model on one machine; without a folder it is forgotten with the process."""

    def __init__(self, folder: Path | None = None, key: str = "") -> None:
        self._path = folder / _FILE if folder else None
        self._key = key
        self._limit: int | None = self._read().get(key)

    def at_most(self, wanted: int) -> int:
        """Return the number of replies to try."""
        return wanted if self._limit is None else max(1, min(wanted, self._limit))

    def shrink(self, failed: int) -> None:
        """Note that this many did not fit: half of them is tried next, now and in later runs."""
        self._limit = max(1, failed // 2)
        if self._path is None:
            return
        write_json(self._path, self._read() | {self._key: self._limit}, indent=1)

    def _read(self) -> dict[str, int]:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8")) if self._path else {}
        except (OSError, ValueError):
            return {}  # a note that cannot be read is learned anew
        if not isinstance(found, dict):
            return {}
        return {str(key): limit for key, limit in found.items() if isinstance(limit, int) and limit >= 1}
