"""Progress of a download inside a job, and its stop."""

from collections.abc import Callable

from workbench.jobs.context import JobContext


class DownloadStopped(Exception):
    """A person paused or cancelled the job; what was fetched so far is gone on with."""


def telling(context: JobContext, message: str) -> Callable[[int, int], None]:
    """Return what a download tells its bytes: progress in MB, and an exception when the job is asked to stop."""

    def tell(done: int, total: int) -> None:
        if context.stop_requested():
            raise DownloadStopped
        context.progress(done // 1_000_000, max(1, total // 1_000_000), message=f"{message}, MB")

    return tell
