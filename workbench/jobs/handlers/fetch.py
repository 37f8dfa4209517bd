"""Tasks of the hub as files of the workspace. The only job that asks the network for anything."""

from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.errors import InputError, UnreachableError
from pipeline.evaluation.hub_rows import hub_rows
from pipeline.evaluation.hub_tasks import fetch_retrieval, fetch_sts, fetched
from workbench.jobs.context import JobContext
from workbench.jobs.kinds import FetchSpec


def run(context: JobContext[FetchSpec]) -> None:
    """Fetch the tasks that are not there yet; one that cannot be used is named at the end, and the rest goes on."""
    spec = context.spec
    folder, tasks = Path(spec.folder), spec.tasks
    fetch = fetch_sts if spec.kind == "sts" else fetch_retrieval
    failed: list[str] = []
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=context.out) as cache:
        for number, name in enumerate(tasks):
            context.progress(number, len(tasks), f"Fetching {name}")
            if context.stop_requested():
                return
            if name not in fetched(folder):
                try:
                    fetch(name, folder, hub_rows(Path(cache)))
                except UnreachableError:
                    raise  # the next task would wait for the same network
                except InputError as error:
                    failed.append(str(error))
    if len(failed) == len(tasks):
        raise InputError(failed[0])
    there = len(tasks) - len(failed)
    context.progress(len(tasks), len(tasks), " ".join([f"{there} of {len(tasks)} tasks are here.", *failed]))
