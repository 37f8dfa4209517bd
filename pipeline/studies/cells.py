"""A cell of a study: one arm with one seed, trained and scored once and cached under a hash of its content."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import file_digest
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from pipeline.durable import whole_file, write_json
from pipeline.evaluation.benchmark import HELD_OUT_TASK, Encoder, evaluate, held_out_cosines, is_held_out
from pipeline.evaluation.sts import StsTask, find_tasks, read_task
from pipeline.records import InputError, Triplet
from pipeline.statistics import clusters
from pipeline.studies.cache import StudyCache, content_key, model_key, triplets_key
from pipeline.studies.data import ArmData, in_half
from pipeline.studies.spec import Arm, Evaluation, Study
from pipeline.train_config import NOT_LEARNED, TrainConfig, learned

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

STS_METRIC = "Spearman x100"
HELD_OUT_METRIC = "held-out triplets with the positive nearer than the hard negative, %"
_FORMAT = 1
"""Increased when a change of the code invalidates cached cells."""
_RECORD, _PREDICTIONS = "cell.json", "predictions.npz"
UNTRAINED = "untrained"
NOT_IN_A_CELL = (*NOT_LEARNED, "dev_metric")
"""Settings that do not affect a cell; cells have no dev score, hence `dev_metric` is one of them."""


@dataclass(frozen=True, slots=True)
class StudyTasks:
    """Evaluation data of a study: either STS tasks or triplets."""

    sts: tuple[StsTask, ...] = ()
    triplets: tuple[Triplet, ...] = ()
    key: str = ""
    """Hash of the evaluation data."""
    dev: tuple[StsTask, ...] = ()
    """Tasks whose mean score chooses a run's best step; empty without early stop."""
    every: int = 0
    """Steps between dev scores."""

    @property
    def metric(self) -> str:
        """What the scores are."""
        return STS_METRIC if self.sts else HELD_OUT_METRIC

    @property
    def names(self) -> list[str]:
        """Names of the tasks in order."""
        return [task.name for task in self.sts] or [HELD_OUT_TASK]

    def gold(self, name: str) -> np.ndarray | None:
        """Gold scores of a task, float64 (items,); None for held-out triplets, whose score is a mean of hits."""
        return next((task.gold for task in self.sts if task.name == name), None)

    @classmethod
    def of_sts(cls, evaluation: Evaluation) -> "StudyTasks":
        """Read the STS tasks of a study. Raises InputError for a task that the folder does not hold."""
        if evaluation.sts_dir is None:
            raise InputError("The study names no STS folder; add evaluation: {sts_dir: FOLDER} or give --sts-dir.")
        found = find_tasks(evaluation.sts_dir, for_tuning=bool(evaluation.tasks))
        names = evaluation.tasks or tuple(found)
        absent = [name for name in names if name not in found]
        if absent:
            raise InputError(
                f"{evaluation.sts_dir} does not hold the task {', '.join(absent)}; it holds {', '.join(found)}."
            )
        tasks = tuple(read_task(name, found[name]) for name in names)
        return cls(sts=tasks, key=content_key({name: _file_key(found[name]) for name in names}))

    def stopping(self, study: Study) -> "StudyTasks":
        """Return these tasks with the dev tasks of the study's early stop, if it has one and an STS folder."""
        stop = study.early_stop
        if stop is None or study.evaluation.sts_dir is None:
            return self
        found = StudyTasks.of_sts(replace(study.evaluation, tasks=stop.dev))
        dev = tuple(task.apart_from(self.sts) for task in found.sts) if stop.apart else found.sts
        return replace(self, dev=dev, every=stop.every, key=content_key(self.key, found.key, stop.every, stop.apart))

    def apart_from(self, others: "StudyTasks") -> "StudyTasks":
        """Return these tasks without the pairs that share a sentence with others of STS."""
        return replace(
            self,
            sts=tuple(task.apart_from(others.sts) for task in self.sts),
            key=content_key(self.key, others.key, "apart"),
        )

    def dev_score(self, encoder: Encoder) -> float:
        """Return the mean Spearman over the dev tasks."""
        return float(np.mean([result.score.spearman for result in evaluate(encoder, self.dev)]))

    def linked(self, name: str) -> np.ndarray:
        """Return the cluster of every item, int64 (items,): items that share a sentence or a premise are in one."""
        task = next((task for task in self.sts if task.name == name), None)
        if task is not None:
            return clusters(task.sentence1, task.sentence2)
        premises = [triplet.premise for triplet in self.triplets]
        return clusters(premises, premises)

    @classmethod
    def held_out(cls, triplets: Sequence[Triplet]) -> "StudyTasks":
        """Take the held-out fifth of these triplets. Raises InputError when there is none."""
        chosen = tuple(triplet for triplet in triplets if is_held_out(triplet.premise))
        if not chosen:
            raise InputError("No triplet is held out for the evaluation: use more premises, or give an STS folder.")
        return cls(triplets=chosen, key=triplets_key(chosen))

    def predict(self, encoder: Encoder) -> dict[str, np.ndarray]:
        """Return float64 (items,) per task: cosines of pairs, or 1 for a triplet in the right order, else 0."""
        if self.sts:
            return {result.score.task: result.predicted for result in evaluate(encoder, self.sts)}
        near, far = held_out_cosines(encoder, self.triplets)
        return {HELD_OUT_TASK: (near > far).astype(np.float64)}


def _file_key(path: Path) -> str:
    digests = []
    for file in [path] if path.is_file() else sorted(item for item in path.rglob("*") if item.is_file()):
        with file.open("rb") as stream:
            digests.append(file_digest(stream, "blake2b").hexdigest()[:24])
    return content_key(digests)


@dataclass(frozen=True, slots=True)
class Cell:
    """One training run of a study, or without triplets its untrained encoder."""

    arm: str
    seed: int
    config: TrainConfig
    triplets: tuple[Triplet, ...]
    cell_id: str
    half: int | None = None
    """Number of the half of the premises it is trained on; None for all of them."""

    @property
    def is_untrained(self) -> bool:
        """Whether the encoder is scored without training."""
        return not self.triplets


@dataclass(frozen=True, slots=True)
class CellResult:
    """Result of a finished cell."""

    arm: str
    seed: int
    cell_id: str
    triplets: int
    batch: int
    """Triplets per step: the batch size, or the number of triplets if that is smaller."""
    train_s: float
    evaluate_s: float
    masked_share: float | None
    """Mean share of candidates masked, over steps."""
    loss: float | None
    """Of the last step."""
    predictions: dict[str, np.ndarray]
    """float64 (items,) per task."""
    best: dict[str, np.ndarray] = field(default_factory=dict)
    """The same at the step with the best dev score; empty without early stop."""
    best_step: int | None = None
    dev_scores: list[list[float]] = field(default_factory=list)
    """Step and mean Spearman on the dev tasks; those of before an interruption are missing."""


def trained_cell(arm: Arm, seed: int, data: ArmData, tasks: StudyTasks, half: int | None = None) -> Cell:
    """Describe the cell of an arm and a seed; held-out premises take no part in training.

    half: trains on this half of the premises, an arm that draws its triplets on half as many.
    """
    config = replace(arm.train, seed=seed)
    triplets, size = data.triplets, arm.size
    if not tasks.sts:
        triplets = [triplet for triplet in triplets if not is_held_out(triplet.premise)]
    if half is not None:
        triplets = [triplet for triplet in triplets if in_half(triplet.premise, half)]
        size = None if size is None else max(1, size // 2)
    if not triplets:
        raise InputError(f"Arm {arm.name!r} has no triplet left in half {half}; take out halves, or more premises.")
    return replace(_cell(arm.name, seed, config, ArmData(triplets).drawn(size, seed), tasks), half=half)


def untrained_cells(study: Study, tasks: StudyTasks) -> list[Cell]:
    """Describe the scoring of the arms' encoders before training, each once and the baseline's first."""
    first = study.arm(study.baseline).train
    configs = {(config.encoder, config.pooling): config for config in (first, *(arm.train for arm in study.arms))}
    names = [
        UNTRAINED if encoder == first.encoder else f"{UNTRAINED}, {Path(encoder).name}" for encoder, _ in configs
    ]
    found = zip(names, configs, strict=True)
    names = [name if names.count(name) == 1 else f"{name}, {pooling}" for name, (_, pooling) in found]
    return [_cell(name, 0, config, [], tasks) for name, config in zip(names, configs.values(), strict=True)]


def _cell(arm: str, seed: int, config: TrainConfig, triplets: Sequence[Triplet], tasks: StudyTasks) -> Cell:
    fields = {name: value for name, value in learned(config).items() if name not in NOT_IN_A_CELL}
    if not triplets:
        fields = {name: fields[name] for name in ("encoder", "pooling")}
    guide = model_key(config.guide) if config.needs_guide and triplets else ""
    if not guide:
        unused = ("mask_threshold", "protect_own_hard_negative") if config.mask_rule == "none" or not triplets else ()
        for name in ("guide", "threshold_unit", *unused):
            fields.pop(name, None)
    key = content_key(_FORMAT, fields, model_key(config.encoder), guide, triplets_key(triplets), tasks.key)
    return Cell(arm, seed, config, tuple(triplets), key)


def read_cell(cell: Cell, cache: StudyCache) -> CellResult | None:
    """Return the result of a finished cell, or None; a damaged cell counts as unfinished."""
    folder = cache.cell(cell.cell_id)
    try:
        record: dict[str, Any] = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        with np.load(folder / _PREDICTIONS, allow_pickle=False) as arrays:
            names = list(enumerate(record.pop("tasks")))
            predictions = {name: arrays[f"task{number}"] for number, name in names}
            best = {name: arrays[f"best{number}"] for number, name in names if f"best{number}" in arrays}
        # The same content may belong to differently named arms of different studies.
        return CellResult(**{**record, "arm": cell.arm, "seed": cell.seed}, predictions=predictions, best=best)
    except (OSError, ValueError, KeyError, TypeError, BadZipFile):
        return None


def run_cell(
    cell: Cell,
    tasks: StudyTasks,
    cache: StudyCache,
    *,
    keep_encoder: bool = False,
    on_step: Callable[[int, int], None] = lambda step, steps: None,
) -> CellResult:
    """Train and score one cell, resuming from its newest checkpoint.

    With an early stop the last step is scored as well as the one with the best dev score, whose weights are saved.
    """
    from pipeline.encoders import load_encoder
    from pipeline.training.adapters import merged
    from pipeline.training.progress import StepEvent
    from pipeline.training.run import train

    folder = cache.cell(cell.cell_id)
    shares: list[float] = []
    scored: list[list[float]] = []
    last: dict[str, Any] = {}

    def follow(event: StepEvent) -> None:
        shares.append(event.masked_share)
        if event.dev_score is not None:
            scored.append([event.step, event.dev_score])
        on_step(event.step, event.steps)

    def dev(encoder: "SentenceTransformer") -> float:
        # The last of these calls comes after the last step.
        last.update({name: values.detach().clone() for name, values in merged(encoder).state_dict().items()})
        return tasks.dev_score(encoder)

    source, loss, train_s, best_step = cell.config.encoder, None, 0.0, None
    if not cell.is_untrained:
        config = replace(cell.config, eval_every=tasks.every, keep="best", patience=0)
        trained = train(
            *(cell.triplets, config),
            output_dir=folder,
            dev=dev if tasks.dev else None,
            on_event=follow,
            cache=cache.vectors,
        )
        source, loss, train_s = str(trained.encoder_folder), trained.loss, trained.seconds - trained.dev_s
        best_step = trained.kept_step if tasks.dev else None
    since = perf_counter()
    encoder = load_encoder(source, pooling=cell.config.pooling, device=cell.config.device)
    predictions = best = tasks.predict(encoder)
    if last and best_step != cell.config.steps:
        encoder.load_state_dict(last)
        predictions = tasks.predict(encoder)
    result = CellResult(
        arm=cell.arm,
        seed=cell.seed,
        cell_id=cell.cell_id,
        triplets=len(cell.triplets),
        batch=min(cell.config.batch_size, len(cell.triplets)),
        train_s=round(train_s, 3),
        evaluate_s=round(perf_counter() - since, 3),
        masked_share=float(np.mean(shares)) if shares else None,
        loss=loss,
        predictions=predictions,
        best=best if tasks.dev else {},
        best_step=best_step,
        dev_scores=scored,
    )
    _keep(result, folder)
    if not keep_encoder:
        shutil.rmtree(folder / "model", ignore_errors=True)
    return result


def _keep(result: CellResult, folder: Path) -> None:
    arrays: dict[str, Any] = {f"task{number}": values for number, values in enumerate(result.predictions.values())}
    arrays |= {f"best{number}": values for number, values in enumerate(result.best.values())}
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / _PREDICTIONS) as stream:
        np.savez_compressed(stream, **arrays)
    record = {name: getattr(result, name) for name in CellResult.__slots__ if name not in ("predictions", "best")}
    record["tasks"] = list(result.predictions)
    # Written last: a cell with this file is finished.
    write_json(folder / _RECORD, record, indent=2)
