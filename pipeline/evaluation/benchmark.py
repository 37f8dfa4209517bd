"""Score an encoder on STS tasks (one Spearman correlation per task, all subsets together) and held-out triplets."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from math import isnan
from typing import Any, Protocol

import numpy as np

from pipeline.evaluation.metrics import row_cosine, triplet_cosines
from pipeline.evaluation.sts import STANDARD_TASKS, StsTask
from pipeline.records import EvalScore, Triplet, text_id
from pipeline.statistics import spearman, why_undefined

HELD_OUT_ONE_IN = 5
HELD_OUT_TASK = "held-out triplets"


class Encoder(Protocol):
    """What evaluation needs of an encoder; a SentenceTransformer has it."""

    @property
    def encode(self) -> Callable[..., Any]:
        """Takes sentences, batch_size and show_progress_bar; returns float32 (sentences, d)."""


@dataclass(frozen=True, slots=True)
class TaskResult:
    """Score of one task with its predictions and pairs."""

    score: EvalScore
    predicted: np.ndarray
    """Cosines, float64 (pairs,), in the order of the task."""
    task: StsTask

    @property
    def undefined(self) -> str:
        """Why the task has no score; empty if it has one."""
        return why_undefined(self.predicted, self.task.gold)


@dataclass(slots=True)
class SentenceVectors:
    """Vectors of all sentences so far: tasks share sentences, and each is encoded once."""

    encoder: Encoder
    batch_size: int = 64
    _vectors: dict[str, np.ndarray] = field(default_factory=dict)

    def __call__(self, sentences: Sequence[str]) -> np.ndarray:
        """Return float32 (len(sentences), d), encoding only new sentences."""
        # Longest first: little padding per batch, and a lack of memory shows at once.
        new = sorted(dict.fromkeys(s for s in sentences if s not in self._vectors), key=len, reverse=True)
        if new:
            encoded = self.encoder.encode(new, batch_size=self.batch_size, show_progress_bar=False)
            self._vectors.update(zip(new, np.asarray(encoded, dtype=np.float32), strict=True))
        return np.stack([self._vectors[sentence] for sentence in sentences])


def evaluate(
    encoder: Encoder,
    tasks: Iterable[StsTask],
    *,
    batch_size: int = 64,
    on_task: Callable[[str], None] | None = None,
    vectors: Callable[[Sequence[str]], np.ndarray] | None = None,
) -> Iterator[TaskResult]:
    """Score an encoder on each task: Spearman of the cosines with gold over all pairs ("all" protocol of SimCSE).

    Texts are truncated only at the encoder's own maximum length. `on_task` is called with each task's name before it
    is scored. `vectors` returns vectors computed earlier, float (sentences, d); then nothing is encoded here.
    """
    vectors = vectors or SentenceVectors(encoder, batch_size)
    for task in tasks:
        if on_task is not None:
            on_task(task.name)
        predicted = row_cosine(vectors(task.sentence1), vectors(task.sentence2))
        yield TaskResult(EvalScore(task.name, spearman(predicted, task.gold), len(task)), predicted, task)


def summary(scores: Iterable[EvalScore]) -> dict[str, Any]:
    """Return scores as JSON values: Spearman x 100, rounded to two digits as in published tables.

    The average is the mean of the rounded scores over the standard tasks present, or over all tasks when none is
    standard; missing and undefined scores are listed in `missing` and never averaged.
    """
    scores = list(scores)
    tasks = {
        score.task: {"spearman": round(100 * score.spearman, 2), "pairs": score.pairs}
        for score in scores
        if not isnan(score.spearman)
    }
    averaged = [name for name in STANDARD_TASKS if name in tasks] or list(tasks)
    undefined = [score.task for score in scores if isnan(score.spearman) and score.task not in STANDARD_TASKS]
    return {
        "tasks": tasks,
        "average": round(float(np.mean([tasks[name]["spearman"] for name in averaged])), 2) if averaged else None,
        "averaged_over": averaged,
        "missing": [name for name in STANDARD_TASKS if name not in tasks] + undefined,
    }


def notes(results: Iterable[TaskResult]) -> dict[str, dict[str, Any]]:
    """Return the notes to a table of scores, as JSON values.

    `undefined`: task -> why it has no score. `rejected`: task -> its unusable lines with file, line and reason.
    """
    found: dict[str, dict[str, Any]] = {"undefined": {}, "rejected": {}}
    for result in results:
        if why := result.undefined:
            found["undefined"][result.task.name] = why
        if result.task.rejected:
            found["rejected"][result.task.name] = [asdict(line) for line in result.task.rejected]
    return found


def held_out_accuracy(encoder: Encoder, triplets: Sequence[Triplet]) -> float:
    """Share of triplets with cos(premise, positive) > cos(premise, hard negative); NaN without triplets."""
    if not triplets:
        return float("nan")
    near, far = held_out_cosines(encoder, triplets)
    return float(np.mean(near > far))


def held_out_cosines(encoder: Encoder, triplets: Sequence[Triplet]) -> tuple[np.ndarray, np.ndarray]:
    """Return cos(premise, positive) and cos(premise, hard negative), float64 (n,) each; each text is encoded once."""
    sides = [(t.premise, t.positive, t.hard_negative) for t in triplets]
    vectors = SentenceVectors(encoder)
    vectors([text for texts in sides for text in texts])
    premise, positive, hard_negative = zip(*sides, strict=True)
    return triplet_cosines(premise, positive, hard_negative, vectors)


def dev_score(task: StsTask) -> Callable[[Encoder], float]:
    """Return the function that training calls for a dev score: the encoder's Spearman on this task."""
    return lambda encoder: next(evaluate(encoder, [task])).score.spearman


def is_held_out(premise: str) -> bool:
    """Whether this premise is in the held-out fifth. Its text decides, hence it is the same in every arm and run."""
    return int(text_id(premise), 16) % HELD_OUT_ONE_IN == 0
