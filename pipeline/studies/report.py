"""What a study found, as plain values; `wording` makes sentences of it and `html_report` a page."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from pipeline.statistics import AVERAGE, Interval, Resampled, holm, plain_score, resample
from pipeline.studies.cells import CellResult
from pipeline.studies.data import ArmData
from pipeline.studies.run import Candidate, StudyRun
from pipeline.studies.spec import Contrast, Study

RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Score:
    """Mean and spread over seeds, x100."""

    mean: float
    sd: float | None
    """Standard deviation over seeds (n - 1); None with one seed."""
    per_seed: list[float]


@dataclass(frozen=True, slots=True)
class ArmRow:
    """One line of the table."""

    arm: str
    triplets: int | None
    """Trained on; None for the encoder before training."""
    batch: int | None
    scores: dict[str, Score]
    """Per task and `average`."""
    train_s: float
    """Mean over seeds, evaluation not included."""
    generation_s: float
    """Made once for all arms that share it."""
    judging_s: float
    masked_share: float | None


@dataclass(frozen=True, slots=True)
class Effect:
    """A difference between arms, x100, with its verdict per task and for the average."""

    name: str
    plus: list[str]
    minus: list[str]
    tasks: dict[str, Interval]

    def verdict(self, task: str = AVERAGE) -> str:
        """Say better or worse only where that is settled among all differences of the table."""
        return self.tasks[task].verdict


@dataclass(frozen=True, slots=True)
class BestStep:
    """The same table with every run at the step with its best dev score."""

    dev: dict[str, int]
    """Pairs per dev task."""
    apart: bool
    """Whether dev pairs that share a sentence with a test task were left out."""
    every: int
    rows: list["ArmRow"]
    against_baseline: list[Effect]
    contrasts: list[Effect]
    steps: dict[str, list[int]]
    """arm -> best step per seed."""
    scores: dict[str, list[float]]
    """arm -> dev score of the best step per seed, x100."""


@dataclass(frozen=True, slots=True)
class Report:
    """A study's table, differences and cost."""

    study: str
    title: str
    about: str
    metric: str
    baseline: str
    encoder: str
    steps: int
    seeds: list[int]
    items: dict[str, int]
    """Test items per task."""
    rows: list[ArmRow]
    against_baseline: list[Effect]
    contrasts: list[Effect]
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Per arm what differs from the baseline arm."""
    resamples: int = RESAMPLES
    deviations: tuple[str, ...] = ()
    """How the study departs from the published one that it repeats."""
    candidates: tuple[Candidate, ...] = ()
    """What a search chose its arm from, best dev score first."""
    search_apart: bool = False
    """Whether the search's dev tasks were without the pairs that share a sentence with a test task."""
    halves: int = 0
    """Runs of every arm on a random half of the corpus."""
    tied: list[str] = field(default_factory=list)
    """The arm with the best average, and those whose difference to it is not settled."""
    best_step: BestStep | None = None

    @property
    def tasks(self) -> list[str]:
        """Columns: the tasks, then their average when there are several."""
        return [*self.items, *([AVERAGE] if len(self.items) > 1 else [])]

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def make_report(run: StudyRun, *, resamples: int = RESAMPLES, seed: int = 0) -> Report:
    """Build the report of a finished study; the bootstrap takes a quarter of a second per cell and 5,000 items."""
    study, tasks = run.study, run.tasks
    drawn, rows = _resampled(run, at_best=False, resamples=resamples, seed=seed)
    against, contrasts = _differences_of(study, drawn)
    return Report(
        study=study.name,
        title=study.title,
        about=study.about,
        metric=tasks.metric,
        baseline=study.baseline,
        encoder=study.arm(study.baseline).train.encoder,
        steps=study.steps,
        seeds=list(study.seeds),
        items={name: len(run.untrained[0].predictions[name]) for name in tasks.names},
        rows=rows,
        against_baseline=against,
        contrasts=contrasts,
        settings={arm.name: _differences(asdict(study.arm(study.baseline)), asdict(arm)) for arm in study.arms},
        resamples=resamples,
        deviations=study.deviations,
        candidates=run.candidates,
        search_apart=study.search_apart,
        halves=study.halves,
        tied=tied(drawn),
        best_step=_best_step(run, resamples=resamples, seed=seed) if tasks.dev else None,
    )


def _best_step(run: StudyRun, *, resamples: int, seed: int) -> BestStep:
    drawn, rows = _resampled(run, at_best=True, resamples=resamples, seed=seed)
    against, contrasts = _differences_of(run.study, drawn)
    return BestStep(
        dev={task.name: len(task) for task in run.tasks.dev},
        apart=run.study.early_stop is not None and run.study.early_stop.apart,
        every=run.tasks.every,
        rows=rows,
        against_baseline=against,
        contrasts=contrasts,
        steps={arm: [cell.best_step or 0 for cell in cells] for arm, cells in run.cells.items()},
        scores={
            arm: [100 * max((score for _, score in cell.dev_scores), default=float("nan")) for cell in cells]
            for arm, cells in run.cells.items()
        },
    )


def _resampled(run: StudyRun, *, at_best: bool, resamples: int, seed: int) -> tuple[Resampled, list[ArmRow]]:
    """Resample all arms at the last or at each run's best step; return this and the rows of the table."""
    gold = {name: run.tasks.gold(name) for name in run.tasks.names}

    def predictions(cells: Sequence[CellResult]) -> list[dict[str, np.ndarray]]:
        return [cell.best if at_best else cell.predictions for cell in cells]

    cells = {cell.arm: [cell] for cell in run.untrained} | run.cells
    halves = {cell.arm: [cell] for cell in run.untrained} | run.halves if run.halves else {}
    drawn = resample(
        {arm: predictions(found) for arm, found in cells.items()},
        gold,
        linked={name: run.tasks.linked(name) for name in gold},
        halves={arm: predictions(found) for arm, found in halves.items()},
        seed=seed,
        resamples=resamples,
    )
    return drawn, [_row(arm, found, predictions(found), run.data.get(arm), gold) for arm, found in cells.items()]


def _differences_of(study: Study, drawn: Resampled) -> tuple[list[Effect], list[Effect]]:
    """Return the differences to the baseline and the contrasts."""
    against = [Contrast(arm, (arm,), (study.baseline,)) for arm in drawn.scores if arm != study.baseline]
    return effects(drawn, against), effects(drawn, study.contrasts)


def tied(drawn: Resampled) -> list[str]:
    """Return the arm with the best average and those whose difference to it is not settled, judged together."""
    best = max(drawn.scores, key=lambda arm: float(drawn.scores[arm][AVERAGE].mean()))
    others = effects(drawn, [Contrast(arm, (arm,), (best,)) for arm in drawn.scores if arm != best])
    settled = {item.name for item in others if item.tasks[AVERAGE].is_settled}
    return [arm for arm in drawn.scores if arm not in settled]


def effects(drawn: Resampled, contrasts: Sequence[Contrast]) -> list[Effect]:
    """Return contrasts of arms with their intervals, x100; those of a task are judged together."""
    found = [drawn.difference(contrast.plus, contrast.minus) for contrast in contrasts]
    per_task = {task: holm([tasks[task].times(100) for tasks in found]) for task in (found[0] if found else {})}
    return [
        Effect(
            contrast.name,
            list(contrast.plus),
            list(contrast.minus),
            {task: intervals[number] for task, intervals in per_task.items()},
        )
        for number, contrast in enumerate(contrasts)
    ]


def _row(
    arm: str,
    cells: Sequence[CellResult],
    predictions: Sequence[dict[str, np.ndarray]],
    data: ArmData | None,
    gold: dict[str, np.ndarray | None],
) -> ArmRow:
    per_task = {
        task: [100 * plain_score(found[task], values) for found in predictions] for task, values in gold.items()
    }
    per_task[AVERAGE] = np.mean(list(per_task.values()), axis=0).tolist()
    shares = [cell.masked_share for cell in cells if cell.masked_share is not None]
    return ArmRow(
        arm=arm,
        triplets=cells[0].triplets or None,
        batch=cells[0].batch or None,
        scores={task: _score(values) for task, values in per_task.items()},
        train_s=float(np.mean([cell.train_s for cell in cells])),
        generation_s=data.generation_s if data else 0.0,
        judging_s=data.judging_s if data else 0.0,
        masked_share=float(np.mean(shares)) if shares else None,
    )


def _score(values: Sequence[float]) -> Score:
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Score(float(np.mean(values)), sd, [float(value) for value in values])


def _differences(base: dict[str, Any], own: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings in which an arm differs from the baseline, flattened to dotted names."""
    found: dict[str, Any] = {}
    for name, value in own.items():
        other = base.get(name) if isinstance(base, dict) else None
        if name == "name" or value == other:
            continue
        if isinstance(value, dict):
            found |= _differences(other or {}, value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value if isinstance(value, int | float | bool | None) else str(value)
    return found
