"""Ids that sort by time, and the clock they share with every row."""

import secrets
from datetime import UTC, datetime


def new_id(kind: str) -> str:
    """Return an id that sorts by time of making: date, time to the millisecond, kind, four random digits."""
    moment = datetime.now(UTC)
    return f"{moment:%Y%m%d-%H%M%S}-{moment.microsecond // 1000:03d}-{kind}-{secrets.token_hex(2)}"


def now() -> str:
    """Return the time in UTC as ISO 8601 text with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
