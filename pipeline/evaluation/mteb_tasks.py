"""Tasks and benchmarks of mteb, run by mteb itself; its data sets come from the hub. Needs the extra `mteb`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.records import InputError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

ADVICE = "Tasks of mteb need the package mteb: pip install 'multicsr-workbench[mteb]'."


def find_mteb(name: str) -> list[Any]:
    """Return the task of this name, or the tasks of the benchmark. Raises InputError for an unknown name."""
    try:
        import mteb
    except ModuleNotFoundError as error:
        raise InputError(ADVICE) from error
    try:
        return [mteb.get_task(name)]
    except KeyError:
        pass
    try:
        return list(mteb.get_benchmark(name).tasks)
    except (KeyError, ValueError) as error:
        raise InputError(f"mteb has no task and no benchmark {name!r}, such as STSBenchmark.") from error


def evaluate_mteb(
    encoder: "SentenceTransformer",
    tasks: Sequence[Any],
    out: Path,
    *,
    on_task: Callable[[int, int, str], None] = lambda done, total, task: None,
) -> dict[str, float]:
    """Run tasks and write mteb's own TASK.json for each; return the main scores by task, mostly in [0, 1].

    `on_task` is called before each task and may raise to stop; a task whose file is there is not run again. Raises
    InputError for a task whose data cannot be had.
    """
    import mteb

    scores = {}
    out.mkdir(parents=True, exist_ok=True)
    model = mteb.SentenceTransformerEncoderWrapper(encoder)
    for done, task in enumerate(tasks):
        name = task.metadata.name
        on_task(done, len(tasks), name)
        path = out / f"{name}.json"
        if not path.exists():
            try:
                found = mteb.evaluate(model, task, cache=None, co2_tracker=False, show_progress_bar=False)
            except (OSError, ValueError) as error:
                reason = " ".join(str(error).split())[:200]
                raise InputError(f"mteb could not run {name} ({reason}).") from error
            found.task_results[0].to_disk(path)
        scores[name] = float(mteb.TaskResult.from_disk(path).get_score())
    return scores
