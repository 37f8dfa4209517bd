"""Results of queries that every page asks for, kept until a table that they read has changed.

Apart from connection.py, which knows nothing of what is asked: eight sessions that rerun once a second would ask the
same ten questions eighty times, although hardly any answer changes between two of them.
"""

import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection
from functools import lru_cache
from threading import Lock
from typing import Any, Final

_MOST: Final = 256
_MOST_ROWS: Final = 200_000
"""Results kept, and their rows together; the result that was not asked for the longest goes first."""
_WORD: Final = re.compile(r"\w+")


class KeptResults:
    """Results by question, each with the state of the tables that it was read from."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._changes: Counter[str] = Counter()
        """Table -> writes to it so far; "" counts those that may have changed any."""
        self._results: OrderedDict[tuple[str, str], tuple[int, Any]] = OrderedDict()

    def changed(self, tables: Collection[str] | None) -> None:
        """Note a finished write to these tables; None for a write that may have changed any."""
        with self._lock:
            self._changes.update([""] if tables is None else tables)

    def ask(self, sql: str, parameters: object, query: Callable[[], Any]) -> Any:
        """Return the kept result of a question, else that of the query, which callers must not change.

        The state is taken before the query runs. A write that ends meanwhile makes the result look older than it is,
        never newer.
        """
        key = sql, repr(parameters)
        with self._lock:
            state = self._changes[""] + sum(self._changes[word] for word in _words(sql) if word in self._changes)
            known = self._results.get(key)
            if known is not None and known[0] == state:
                self._results.move_to_end(key)
                return known[1]
        found = query()
        with self._lock:
            self._results[key] = state, found
            self._results.move_to_end(key)
            while len(self._results) > _MOST or sum(len(kept) for _, kept in self._results.values()) > _MOST_ROWS:
                self._results.popitem(last=False)
        return found


@lru_cache(maxsize=1024)
def _words(sql: str) -> frozenset[str]:
    """Return the words of a statement, among them every table that it reads."""
    return frozenset(_WORD.findall(sql))
