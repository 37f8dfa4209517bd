"""A cell of a study: one arm with one seed, trained and scored once and cached under a hash of its content."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import file_digest
from pathlib import Path
from time import perf_counter
from typing import Any
from zipfile import BadZipFile

import numpy as np

from pipeline.durable import whole_file, write_json
from pipeline.evaluation.benchmark import HELD_OUT_TASK, Encoder, evaluate, held_out_cosines, is_held_out
from pipeline.evaluation.sts import StsTask, find_tasks, read_task
from pipeline.records import InputError, Triplet
from pipeline.studies.cache import StudyCache, content_key, model_key, triplets_key
from pipeline.studies.data import ArmData
from pipeline.studies.spec import Arm, Evaluation, Study
from pipeline.train_config import NOT_LEARNED, TrainConfig

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


def trained_cell(arm: Arm, seed: int, data: ArmData, tasks: StudyTasks) -> Cell:
    """Describe the cell of an arm and a seed; held-out premises take no part in training."""
    config = replace(arm.train, seed=seed)
    rows = data if tasks.sts else ArmData([t for t in data.triplets if not is_held_out(t.premise)])
    return _cell(arm.name, seed, config, rows.drawn(arm.size, seed), tasks)


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
    fields = {name: value for name, value in asdict(config).items() if name not in NOT_IN_A_CELL}
    if not triplets:
        fields = {name: fields[name] for name in ("encoder", "pooling")}
    if config.mask_rule == "none" or not triplets:
        guide = ""
        for name in ("guide", "mask_threshold", "threshold_unit", "protect_own_hard_negative"):
            fields.pop(name, None)
    else:
        guide = model_key(config.guide)
    key = content_key(_FORMAT, fields, model_key(config.encoder), guide, triplets_key(triplets), tasks.key)
    return Cell(arm, seed, config, tuple(triplets), key)


def read_cell(cell: Cell, cache: StudyCache) -> CellResult | None:
    """Return the result of a finished cell, or None; a damaged cell counts as unfinished."""
    folder = cache.cell(cell.cell_id)
    try:
        record: dict[str, Any] = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        with np.load(folder / _PREDICTIONS, allow_pickle=False) as arrays:
            predictions = {name: arrays[f"task{number}"] for number, name in enumerate(record.pop("tasks"))}
        # The same content may belong to differently named arms of different studies.
        return CellResult(**{**record, "arm": cell.arm, "seed": cell.seed}, predictions=predictions)
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
    """Train and score one cell, resuming from its newest checkpoint."""
    from pipeline.encoders import load_encoder
    from pipeline.training.progress import StepEvent
    from pipeline.training.run import train

    folder = cache.cell(cell.cell_id)
    shares: list[float] = []

    def follow(event: StepEvent) -> None:
        shares.append(event.masked_share)
        on_step(event.step, event.steps)

    source, loss, train_s = cell.config.encoder, None, 0.0
    if not cell.is_untrained:
        trained = train(cell.triplets, cell.config, output_dir=folder, on_event=follow, cache=cache.vectors)
        source, loss, train_s = str(trained.encoder_folder), trained.loss, trained.seconds
    since = perf_counter()
    encoder = load_encoder(source, pooling=cell.config.pooling, device=cell.config.device)
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
    )
    _keep(result, folder)
    if not keep_encoder:
        shutil.rmtree(folder / "model", ignore_errors=True)
    return result


def _keep(result: CellResult, folder: Path) -> None:
    arrays: dict[str, Any] = {f"task{number}": values for number, values in enumerate(result.predictions.values())}
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / _PREDICTIONS) as stream:
        np.savez_compressed(stream, **arrays)
    record = {name: getattr(result, name) for name in CellResult.__slots__ if name != "predictions"}
    record["tasks"] = list(result.predictions)
    # Written last: a cell with this file is finished.
    write_json(folder / _RECORD, record, indent=2)
