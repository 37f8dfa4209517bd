"""How fast a server is called: its limits per minute, as many calls at once as it takes, the least busy replica."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Condition, Event, Lock
from typing import Generic, TypeVar

from pipeline.records import Stopped

_MINUTE_S = 60.0
_POLL_S = 0.2
_SHUNNED_S = 10.0
"""A replica that could not be reached is taken last for so long."""
Client = TypeVar("Client")


class Pace:
    """Lets calls begin; for many threads. Half as many at once after each refusal for speed, slowly more again."""

    def __init__(self, *, at_once: int = 64, requests_per_minute: int = 0, tokens_per_minute: int = 0) -> None:
        """0 sets no limit per minute."""
        self._most = self.allowed = float(at_once)
        """allowed: calls that may be under way at present."""
        self._requests, self._tokens = requests_per_minute, tokens_per_minute
        self._under_way = 0
        self._begun: deque[list[float]] = deque()  # [moment, tokens] of the last minute
        self._changed = Condition()

    def begin(self, tokens: int, stop: Event) -> list[float]:
        """Wait for the turn of a call of so many tokens; returns what `end` wants. Raises Stopped."""
        with self._changed:
            while (wait_s := self._wait_s(tokens)) > 0:
                if stop.is_set():
                    raise Stopped
                self._changed.wait(min(wait_s, _POLL_S))
            entry = [time.monotonic(), float(tokens)]
            self._begun.append(entry)
            self._under_way += 1
        return entry

    def end(self, entry: list[float], *, tokens: int | None = None, is_limited: bool = False) -> None:
        """Note the end of a call: what it took, and whether the server found it one too many."""
        with self._changed:
            self._under_way -= 1
            if tokens is not None:
                entry[1] = float(tokens)
            step = self.allowed / 2 if is_limited else self.allowed + 1 / self.allowed
            self.allowed = max(1.0, min(self._most, step))
            self._changed.notify_all()

    def _wait_s(self, tokens: int) -> float:
        if self._under_way >= int(self.allowed):
            return _POLL_S
        now = time.monotonic()
        while self._begun and self._begun[0][0] <= now - _MINUTE_S:
            self._begun.popleft()
        used = sum(spent for _, spent in self._begun)
        is_full = 0 < self._requests <= len(self._begun)
        # A single call above the limit is let through alone: it could never begin otherwise.
        is_spent = bool(self._tokens and self._begun) and used + tokens > self._tokens
        return self._begun[0][0] + _MINUTE_S - now if is_full or is_spent else 0.0


class Replicas(Generic[Client]):
    """Servers of the same model: each call takes the one with the fewest calls under way."""

    def __init__(self, clients: Sequence[Client]) -> None:
        self.clients = list(clients)
        self._busy = [0] * len(clients)
        self._failed = [float("-inf")] * len(clients)
        self._lock = Lock()

    @contextmanager
    def taken(self, failures: tuple[type[Exception], ...]) -> Iterator[Client]:
        """Give a client for one call; one that raises a failure is shunned for a while."""
        with self._lock:
            now = time.monotonic()
            place = min(
                range(len(self._busy)), key=lambda one: (now - self._failed[one] < _SHUNNED_S, self._busy[one])
            )
            self._busy[place] += 1
        try:
            yield self.clients[place]
        except failures:
            self._failed[place] = time.monotonic()
            raise
        finally:
            with self._lock:
                self._busy[place] -= 1
