"""The order in which waiting jobs start: by the time each was queued, which a person may hand out anew."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from workbench.jobs.folder import Status

_STEP = timedelta(milliseconds=1)


def next_first(statuses: Mapping[str, Status]) -> list[str]:
    """Return the waiting ones among these jobs, the next one first."""
    waiting = [job_id for job_id, status in statuses.items() if status.state == "queued"]
    return sorted(waiting, key=lambda job_id: (statuses[job_id].queued_at or "", job_id))


def reordered(statuses: Mapping[str, Status], job_id: str, places: int) -> dict[str, str]:
    """Return the queueing times that move a waiting job so many places up (negative) or down.

    The times there are go to the new order, the earliest to the first; equal ones become a millisecond apart.
    """
    order = next_first(statuses)
    times = _apart([statuses[job].queued_at or "" for job in order])
    place = order.index(job_id)
    order.insert(min(max(place + places, 0), len(order) - 1), order.pop(place))
    return dict(zip(order, times, strict=True))


def _apart(times: list[str]) -> list[str]:
    apart: list[datetime] = []
    for time in times:
        moment = datetime.fromisoformat(time)
        apart.append(max(moment, apart[-1] + _STEP) if apart else moment)
    return [moment.isoformat(timespec="milliseconds") for moment in apart]
