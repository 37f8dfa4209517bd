"""Run a study: the data of every arm first, then every cell that is not finished yet."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pipeline.errors import InputError
from pipeline.studies.cells import Cell, CellResult, read_cell, run_cell, trained_cell, untrained_cell
from pipeline.studies.data import ArmData, DataSource
from pipeline.studies.shelf import Progress, Shelf
from pipeline.studies.spec import Arm, Study
from pipeline.studies.tasks import StudyTasks, held_out_tasks, sts_tasks


@dataclass(frozen=True, slots=True)
class Candidate:
    """An arm of a search with its dev score, x100."""

    arm: str
    mean: float
    """Over seeds, of the mean over the dev tasks."""
    per_seed: tuple[float, ...]


@dataclass(slots=True)
class StudyRun:
    """Everything a report is made from: the arms' data and the results of all cells."""

    study: Study
    tasks: StudyTasks
    data: dict[str, ArmData]
    untrained: CellResult
    cells: dict[str, list[CellResult]] = field(default_factory=dict)
    """Per arm, in the order of the study's seeds."""
    candidates: tuple[Candidate, ...] = ()
    """What a search chose from, best first."""


Watch = Callable[[Cell, CellResult | None, StudyTasks], None]
"""watch(cell, its result or None while it begins, what it is scored on)."""


def run_study(
    study: Study,
    source: DataSource,
    shelf: Shelf,
    *,
    progress: Progress,
    watch: Watch = lambda cell, result, tasks: None,
) -> StudyRun:
    """Run what is missing of a study and return all of it; stopped at any moment, it goes on where it was."""
    source.progress = progress
    data = {arm.name: source.of(arm) for arm in study.arms}
    tasks = study_tasks(study, source)
    cells = list(study_cells(study, data, tasks))
    total = len(cells) * study.steps

    def finish(number: int, cell: Cell) -> CellResult:
        what = f"{cell.arm}, seed {cell.seed}"
        done = read_cell(cell, shelf)
        if done is None:
            watch(cell, None, tasks)

            def on_step(step: int, steps: int) -> None:
                progress(what, number * steps + step, total)

            done = run_cell(cell, tasks, shelf, keep_encoder=study.keep_encoders, on_step=on_step)
        watch(cell, done, tasks)
        progress(what, (number + 1) * study.steps, total)
        return done

    before = untrained_cell(study.arm(study.baseline), tasks)
    run = StudyRun(study, tasks, data, finish(-1, before))
    for number, cell in enumerate(cells):
        run.cells.setdefault(cell.arm, []).append(finish(number, cell))
    return run


def study_tasks(study: Study, source: DataSource) -> StudyTasks:
    """Return what the study is scored on."""
    if study.evaluation.sts_dir is not None:
        return sts_tasks(study.evaluation)
    if study.evaluation.tasks:
        raise InputError(f"Study {study.name} names STS tasks but no folder of them; add --sts-dir FOLDER.")
    named = study.evaluation.held_out_from
    arm: Arm = study.arm(named) if named else study.arms[0]
    return held_out_tasks(source.before_curation(arm).triplets)


def study_cells(study: Study, data: dict[str, ArmData], tasks: StudyTasks) -> Iterator[Cell]:
    """Yield the cells, all arms of a seed before the next seed: stopped early, a study has whole seeds to compare."""
    for seed in study.seeds:
        for arm in study.arms:
            yield trained_cell(arm, seed, data[arm.name], tasks)
