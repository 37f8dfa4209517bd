"""How long a finished row waits for its fsync. Apart from the context, as actors on other nodes use this alone."""

from collections.abc import Iterator
from time import monotonic
from typing import TypeVar

FLUSH_SECONDS = 1.0
"""Longest time a finished row waits for its fsync: what a kill can cost."""
_FLUSH_ROWS = 2_000
Item = TypeVar("Item")


def in_batches(stream: Iterator[Item]) -> Iterator[list[Item]]:
    """Group a stream by time. When it ends with an error, the items before it are yielded first."""
    batch: list[Item] = []
    since = monotonic()
    try:
        for item in stream:
            batch.append(item)
            if monotonic() - since >= FLUSH_SECONDS or len(batch) >= _FLUSH_ROWS:
                yield batch
                batch, since = [], monotonic()
    except Exception:
        if batch:
            yield batch
        raise
    if batch:
        yield batch
