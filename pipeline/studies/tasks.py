"""What a study scores its encoders on: STS tasks, or held-out triplets where no STS data is at hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import InputError
from pipeline.evaluation.benchmark import SentenceVectors, evaluate
from pipeline.evaluation.held_out import HELD_OUT_TASK, is_held_out
from pipeline.evaluation.metrics import row_cosine
from pipeline.evaluation.sts import StsTask, find_tasks, read_task
from pipeline.records import Triplet
from pipeline.studies.shelf import content_key, triplets_key
from pipeline.studies.spec import Evaluation

if TYPE_CHECKING:
    from pipeline.evaluation.benchmark import Encoder

STS_METRIC = "Spearman x100"
HELD_OUT_METRIC = "held-out triplets with the positive nearer than the hard negative, %"


@dataclass(frozen=True, slots=True)
class StudyTasks:
    """The evaluation of a study: either STS tasks or triplets."""

    sts: tuple[StsTask, ...] = ()
    triplets: tuple[Triplet, ...] = ()
    key: str = ""
    """Hash of the data that is scored."""

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

    def predict(self, encoder: "Encoder") -> dict[str, np.ndarray]:
        """Return one value per item and task: cosines of pairs, or 1 and 0 for a triplet in and out of order."""
        if self.sts:
            return {result.score.task: result.predicted for result in evaluate(encoder, self.sts)}
        vectors = SentenceVectors(encoder)
        premise = vectors([t.premise for t in self.triplets])
        near = row_cosine(premise, vectors([t.positive for t in self.triplets]))
        far = row_cosine(premise, vectors([t.hard_negative for t in self.triplets]))
        return {HELD_OUT_TASK: (near > far).astype(np.float64)}


def sts_tasks(evaluation: Evaluation) -> StudyTasks:
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
    return StudyTasks(sts=tasks, key=content_key({name: _file_key(found[name]) for name in names}))


def held_out_tasks(triplets: Sequence[Triplet]) -> StudyTasks:
    """Take the held-out fifth of these triplets. Raises InputError when there is none."""
    chosen = tuple(triplet for triplet in triplets if is_held_out(triplet.premise))
    if not chosen:
        raise InputError("No triplet is held out for the evaluation: use more premises, or give an STS folder.")
    return StudyTasks(triplets=chosen, key=triplets_key(chosen))


def _file_key(path: Path) -> str:
    digests = []
    for file in [path] if path.is_file() else sorted(item for item in path.rglob("*") if item.is_file()):
        with file.open("rb") as stream:
            digests.append(file_digest(stream, "blake2b").hexdigest()[:24])
    return content_key(digests)
