"""Progress of a download inside a job, and its stop."""

from collections.abc import Callable

from workbench.jobs.context import JobContext


def telling(context: JobContext, message: str) -> Callable[[int, int], None]:
    """Return what a download tells its bytes: progress in MB, and leave it when the job is asked to stop."""

    def tell(done: int, total: int) -> None:
        context.stop_if_asked()
        context.progress(done // 1_000_000, max(1, total // 1_000_000), message=f"{message}, MB")

    return tell
