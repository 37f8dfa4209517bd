"""Numbers and times as words, the same way on every page."""

from datetime import UTC, datetime


def count(number: float) -> str:
    """12345 -> 12,345."""
    return f"{int(number):,}"


def counted(number: float, noun: str, plural: str = "") -> str:
    """(1, 'triplet') -> 1 triplet; (2, 'triplet') -> 2 triplets."""
    return f"{count(number)} {noun if number == 1 else plural or noun + 's'}"


def percent(part: float, whole: float) -> str:
    """Share as whole percent; a dash when there is nothing to share."""
    return f"{part / whole:.0%}" if whole else "–"


def duration(seconds: float) -> str:
    """Length of time with two units at most: 8 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def ago(moment: datetime | str | float | None, *, now: datetime | None = None) -> str:
    """Time since a moment; naive times count as UTC, which is how the store keeps them."""
    if moment is None:
        return ""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    elif isinstance(moment, int | float):
        moment = datetime.fromtimestamp(moment, UTC)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    if seconds < 10:
        return "just now"
    if seconds < 86_400:
        return f"{duration(seconds - seconds % 60 if seconds >= 60 else seconds)} ago"
    days = int(seconds // 86_400)
    return f"{days} day{'s' if days > 1 else ''} ago"


def clock(moment: datetime | str | None) -> str:
    """Day and time on this machine: 25 Nov 09:08:21; naive times count as UTC, as in `ago`."""
    if moment is None or moment != moment:  # NaT of a table is no time either
        return ""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    # By way of seconds: a table's own kind of time does not turn into the machine's zone.
    return f"{datetime.fromtimestamp(moment.timestamp(), UTC).astimezone():%-d %b %H:%M:%S}"


def spearman(value: float | None) -> str:
    """Spearman as the field writes it: times 100, two decimals; a dash when missing."""
    return "–" if value is None or value != value else f"{value * 100:.2f}"
