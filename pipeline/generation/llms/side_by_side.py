"""Many replies of a server at once: up to so many calls under way, and what ends a run."""

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Event

from pipeline.generation.llms.meter import BudgetError
from pipeline.generation.llms.protocol import Ask, Reply, ShouldStop
from pipeline.records import InputError, Outcome, Side, Stopped

_POLL_S = 0.2
_GRACE_S = 5.0
"""Longest wait for calls under way when a run is stopped; they are paid for."""
_FAILURES_IN_A_ROW = 8
"""Calls that failed for good, one after the other, after which the server is taken to be down."""


def written(
    jobs: Iterator[tuple[Ask, Side]],
    write: Callable[[Ask, Side], Reply],
    should_stop: ShouldStop,
    stop: Event,
    *,
    name: str,
    concurrency: int,
) -> Iterator[Reply]:
    """Yield the reply of every job as it comes, up to `concurrency` calls under way at once.

    stop: set when the run ends, to make calls that wait for their turn give up. Raises what ends the run, such as a
    spent budget, after the replies that were under way; InputError as well when the server seems to be down.
    """
    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="llm-call")
    under_way: set[Future[Reply]] = set()
    ended: InputError | None = None
    failed_in_a_row = 0
    try:
        while ended is None and not should_stop():
            while len(under_way) < concurrency and (job := next(jobs, None)) is not None:
                under_way.add(pool.submit(write, *job))
            if not under_way:
                return
            done, under_way = wait(under_way, timeout=_POLL_S, return_when=FIRST_COMPLETED)
            for future in done:
                reply, error = _outcome(future)
                ended = ended or error
                if reply is not None:
                    is_down = reply.problem is Outcome.FAILED and reply.is_servers_fault
                    failed_in_a_row = failed_in_a_row + 1 if is_down else 0
                    yield reply
                    if failed_in_a_row >= max(_FAILURES_IN_A_ROW, 2 * concurrency):
                        ended = ended or InputError(
                            f"The server of {name} failed {failed_in_a_row} times in a row ({reply.reason}): "
                            "check it and start the run again; finished rows are not paid for twice."
                        )
        if not isinstance(ended, BudgetError):
            stop.set()  # calls that wait for their turn give up; those under way are waited for
        for future in wait(under_way, timeout=_GRACE_S if stop.is_set() else None).done:
            reply, error = _outcome(future)
            ended = ended or error
            if reply is not None:
                yield reply
        if ended is not None:
            raise ended
    finally:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)


def _outcome(future: "Future[Reply]") -> tuple[Reply | None, InputError | None]:
    """Return a thread's reply, or what ends the run."""
    try:
        return future.result(), None
    except Stopped:
        return None, None
    except InputError as error:
        return None, error
