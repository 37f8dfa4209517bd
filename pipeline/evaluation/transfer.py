"""Transfer tasks scored as SentEval does: a logistic regression on frozen embeddings, its strength chosen inside."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.errors import InputError
from pipeline.evaluation.transfer_tasks import LabelledTexts, TransferTask

STRENGTHS = (1.0, 4.0, 16.0, 64.0, 256.0)
"""Inverse weights of the penalty (scikit-learn's C) to choose from; wide, because the embeddings have length one."""
FOLDS, INNER_FOLDS = 10, 5
_SEED = 1111
_MAX_ITERATIONS = 1000

Vectors = Callable[[Sequence[str]], np.ndarray]
"""Takes texts; returns float32 (texts, d), rows of length one."""


@dataclass(frozen=True, slots=True)
class TransferScore:
    """How well classes can be read off an encoder's frozen embeddings."""

    task: str
    accuracy: float
    """Share of the tested examples that are classified right."""
    majority: float
    """Share of the most frequent class among them: what no embedding at all would reach."""
    examples: int
    f1: float | None
    """Of class 1 of a task about pairs, which is reported beside its accuracy."""
    strengths: tuple[float, ...]
    """C as chosen: one per outer fold, or one."""


@dataclass(frozen=True, slots=True)
class TransferResult:
    """Score of one task with what a page needs to look into it."""

    score: TransferScore
    tested: LabelledTexts
    predicted: np.ndarray
    """int64 (examples,): the class given to each tested example."""


def evaluate_transfer(task: TransferTask, vectors: Vectors) -> TransferResult:
    """Fit on a task's training part and count what is right on its test part.

    SentEval's protocol (Conneau and Kiela 2018, arXiv 1803.05449), with scikit-learn's logistic regression: tasks
    without a test set by 10 outer folds, C chosen in each by inner folds; tasks with one by folds of the training
    part, or on the dev part. Pairs u, v become (|u - v|, u * v). Departures: embeddings have length one, C comes
    from STRENGTHS, and there are 5 inner folds instead of 10. Raises InputError for classes with too few examples.
    """
    from threadpoolctl import threadpool_limits

    # Hundreds of fits on small matrices: with two threads they mostly wait for each other, 15 times as long when the
    # machine has other work.
    with threadpool_limits(1):
        if "all" in task.parts:
            tested = task.parts["all"]
            predicted, strengths = _cross_validated(task, vectors)
        else:
            tested = task.parts["test"]
            predicted, strengths = _trained(task, vectors)
    right = predicted == tested.label
    score = TransferScore(
        task=task.name,
        accuracy=float(right.mean()),
        majority=float(np.bincount(tested.label).max() / len(tested)),
        examples=len(tested),
        f1=_f1(tested.label, predicted) if task.is_about_pairs else None,
        strengths=tuple(strengths),
    )
    return TransferResult(score, tested, predicted)


def _cross_validated(task: TransferTask, vectors: Vectors) -> tuple[np.ndarray, list[float]]:
    part = task.parts["all"]
    features, label = _features(part, vectors, task.is_about_pairs), part.label
    predicted = np.empty_like(label)
    strengths = []
    for train, test in _folds(task.name, label, FOLDS):
        strength = _best_by_folds(task.name, features[train], label[train])
        predicted[test] = _fitted(features[train], label[train], strength).predict(features[test])
        strengths.append(strength)
    return predicted, strengths


def _trained(task: TransferTask, vectors: Vectors) -> tuple[np.ndarray, list[float]]:
    features = {name: _features(part, vectors, task.is_about_pairs) for name, part in task.parts.items()}
    train, label = features["train"], task.parts["train"].label
    if "dev" in task.parts:
        dev = task.parts["dev"].label
        scores = [float(_fitted(train, label, c).score(features["dev"], dev)) for c in STRENGTHS]
        strength = STRENGTHS[int(np.argmax(scores))]
    else:
        strength = _best_by_folds(task.name, train, label)
    return _fitted(train, label, strength).predict(features["test"]), [strength]


def _features(part: LabelledTexts, vectors: Vectors, is_about_pairs: bool) -> np.ndarray:
    first = vectors(part.first)
    if not is_about_pairs:
        return first
    second = vectors(part.second)
    return np.concatenate([np.abs(first - second), first * second], axis=1)


def _best_by_folds(name: str, features: np.ndarray, label: np.ndarray) -> float:
    """C with the highest mean accuracy over inner folds; the strongest penalty of several."""
    scores = np.zeros(len(STRENGTHS))
    for train, test in _folds(name, label, INNER_FOLDS):
        for place, strength in enumerate(STRENGTHS):
            fitted = _fitted(features[train], label[train], strength)
            scores[place] += fitted.score(features[test], label[test])
    return STRENGTHS[int(np.argmax(scores))]


def _folds(name: str, label: np.ndarray, folds: int) -> list[tuple[np.ndarray, np.ndarray]]:
    from sklearn.model_selection import StratifiedKFold

    counts = np.bincount(label)
    if len(counts) < 2 or counts[counts > 0].min() < folds:
        raise InputError(f"{name} needs two classes with at least {folds} examples each to be split into folds.")
    return list(StratifiedKFold(folds, shuffle=True, random_state=_SEED).split(np.zeros(len(label)), label))


def _fitted(features: np.ndarray, label: np.ndarray, strength: float):  # noqa: ANN202  (scikit-learn is loaded here)
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=_MAX_ITERATIONS).fit(features, label)


def _f1(label: np.ndarray, predicted: np.ndarray) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(label, predicted))
