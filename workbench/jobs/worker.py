"""Entry of a worker process: `python -m workbench.jobs.worker FOLDER`. Never opens the database.

Of several processes that torchrun starts, the first is the worker: it holds the lock and the journal. The others take
part in the work and write nothing.
"""

import importlib
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.durable import full_disk_message, is_disk_full, is_full_disk
from pipeline.hub import telling
from pipeline.records import InputError, Stopped, StorageError
from workbench.jobs.context import JobContext, download_progress
from workbench.jobs.folder import JobFolder, State, Stop
from workbench.jobs.kinds import JobSpec, kind_named

TEST_HANDLERS = "MULTICSR_TEST_HANDLERS"
"""Environment variable that names a package of stand-in handlers; for tests only."""
_ENDS: dict[Stop, State] = {"finish": "finished", "pause": "paused", "cancel": "cancelled"}
_LOCK_WAIT_S = 3.0
_BUSY = 75
_LOOK_EVERY_S = 0.05


def main(arguments: list[str]) -> int:
    """Run the job in this folder; return the exit status."""
    folder = JobFolder(Path(arguments[0]).resolve())
    if os.environ.get("RANK", "0") != "0":
        return _follow(folder)
    with folder.held(wait_s=_LOCK_WAIT_S) as is_mine:
        if not is_mine:
            return _BUSY
        if folder.status().state != "queued":  # cancelled or paused between start and lock
            return 0
        context: JobContext[JobSpec] = JobContext(folder.path)
        return _run(context)


def _run(context: JobContext[JobSpec]) -> int:
    try:
        context.begin()
        with telling(download_progress(context)):
            handler_of(context.kind)(context)
    except Stopped:
        pass
    except InputError as error:
        context.end("failed", str(error))
        return 1
    except BaseException as error:
        traceback.print_exc()
        context.end("failed", _sentence(context, error))
        return 1
    context.end(_ENDS[context.stop_seen or "finish"])
    return 0


def _follow(folder: JobFolder) -> int:
    """Take part in the job that the first process runs, once it has begun; torchrun ends this process with it."""
    while (state := folder.stated().state) == "queued":
        time.sleep(_LOOK_EVERY_S)
    if state != "running":  # ended before it began
        return 0
    context: JobContext[JobSpec] = JobContext(folder.path)
    try:
        handler_of(context.kind, verb="follow")(context)
    except Stopped:
        pass
    except InputError as error:  # the first process meets the same one, and writes it down
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


def handler_of(kind: str, *, verb: str = "run") -> Callable[[JobContext[Any]], None]:
    """Import the handler of this kind; kinds are a fixed list, so a spec cannot name other code."""
    package = os.environ.get(TEST_HANDLERS, "workbench.jobs.handlers")
    module = importlib.import_module(f"{package}.{kind_named(kind).room}")
    handler: Callable[[JobContext[Any]], None] = getattr(module, f"{verb}_{kind}")
    return handler


def _sentence(context: JobContext[JobSpec], error: BaseException) -> str:
    folder = context.folder.path
    if is_full_disk(error) or is_disk_full(folder):
        return full_disk_message(folder, "free space and resume")
    if isinstance(error, StorageError):
        return str(error)
    if isinstance(error, MemoryError):
        return "The machine ran out of memory; lower the batch size and resume."
    if isinstance(error, KeyboardInterrupt):
        return "The job was stopped from outside; resume it."
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return f"The job stopped on an unexpected {type(error).__name__} ({first[:200]}); its log has the details."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
