"""Progress of a job in a terminal."""

import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pipeline.errors import InputError
from workbench.cli.access import Call

POLL_SECONDS = 0.3
ENDED = ("finished", "failed", "cancelled", "paused", "interrupted")


class JobFailedError(RuntimeError):
    """Seen by the person who waited for a job that ended without its result."""


def watch(call: Call, job_id: str, *, label: str) -> dict[str, Any]:
    """Show a job's progress until it ended and return its last view; Ctrl-C pauses the job, which can be resumed.

    Raises InputError with the job's own sentence when it failed, JobFailedError when it was stopped elsewhere.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task(label, total=None, rate="")
        try:
            view = follow(call, job_id, progress, bar)
        except KeyboardInterrupt:
            call("pause", job_id=job_id)
            progress.console.print(f"Paused. Go on with: python -m workbench resume {job_id}")
            raise
    if view["state"] == "failed":
        raise JobFailedError(f"{label} failed: {view['message']}")
    if view["state"] != "finished":
        raise JobFailedError(f"{label} is {view['state']}. Go on with: python -m workbench resume {job_id}")
    return view


def follow(call: Call, job_id: str, progress: Progress, bar: Any) -> dict[str, Any]:
    """Poll until the job ended, moving the bar."""
    while True:
        view = call("job", job_id=job_id)
        rate = f"{view['rate']:.1f}/s" if view.get("rate") else ""
        progress.update(bar, completed=view["done"], total=view["total"] or None, rate=rate)
        if view["state"] in ENDED and view["settled"]:
            return view
        time.sleep(POLL_SECONDS)


def require_file(path: Path) -> Path:
    """Return the absolute path of an existing file. Raises InputError otherwise."""
    if not path.is_file():
        raise InputError(f"There is no file {path}: check the name.")
    return path.resolve()


def require_path(path: Path) -> Path:
    """Return the absolute path of an existing file or folder. Raises InputError otherwise."""
    if not path.exists():
        raise InputError(f"There is no file or folder {path}: check the name.")
    return path.resolve()
