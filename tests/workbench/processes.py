"""Finding and waiting for the processes of a test."""

import time
from pathlib import Path

from tests import warm


def worker_of(root: Path, job_id: str) -> int | None:
    """Find the worker of this job of this test by its own command line."""
    wanted = str(root / "jobs" / job_id)
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            arguments = warm.arguments_of(process)
            if wanted in arguments and "workbench.jobs.worker" in arguments:
                return int(process.name)
    return None


def wait_for(question, timeout_s: float = 120.0):
    deadline = time.monotonic() + timeout_s
    while not (answer := question()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
    return answer
