"""Transfer tasks as in SentEval: logistic regression on frozen embeddings, with its regularisation chosen inside."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.files.source import text_lines
from pipeline.records import InputError

TRANSFER_TASKS = ("MR", "CR", "SUBJ", "MPQA", "SST2", "TREC", "MRPC")
"""In the order in which published tables name them."""

_TOLERATED_BAD_SHARE = 0.05
_BY_CLASS = {
    "MR": ("MR/rt-polarity.neg", "MR/rt-polarity.pos"),
    "CR": ("CR/custrev.neg", "CR/custrev.pos"),
    "SUBJ": ("SUBJ/subj.subjective", "SUBJ/subj.objective"),
    "MPQA": ("MPQA/mpqa.neg", "MPQA/mpqa.pos"),
}
"""One file per class, a text per line: class 0, class 1."""
_BY_PART = {
    "SST2": {part: f"SST/binary/sentiment-{part}" for part in ("train", "dev", "test")},
    "TREC": {"train": "TREC/train_5500.label", "test": "TREC/TREC_10.label"},
    "MRPC": {part: f"MRPC/msr_paraphrase_{part}.txt" for part in ("train", "test")},
}
_QUESTION_CLASSES = ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM")
_CLASSES = {
    "SUBJ": ("subjective", "objective"),
    "TREC": _QUESTION_CLASSES,
    "MRPC": ("no paraphrase", "paraphrase"),
}
_POLARITY = ("negative", "positive")

Example = tuple[str, str, int]
"""Text, second text or "", class."""


@dataclass(frozen=True, slots=True)
class LabelledTexts:
    """Texts, or pairs of texts, with a class each."""

    first: list[str]
    second: list[str]
    """Empty texts where the task is not about pairs."""
    label: np.ndarray
    """int64 (n,)."""

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True, slots=True)
class TransferTask:
    """One task: a single part "all", to be split into folds, or "train" and "test" and perhaps "dev"."""

    name: str
    parts: dict[str, LabelledTexts]
    is_about_pairs: bool
    rejected: int
    """Lines that could not be used."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, by number."""
        return _CLASSES.get(self.name, _POLARITY)

    def texts(self) -> list[str]:
        """Every text of every part."""
        found = [text for part in self.parts.values() for text in (*part.first, *part.second)]
        return [text for text in found if text]


def find_transfer(folder: Path) -> dict[str, Path]:
    """Find the transfer tasks in SentEval's data folder, or in its `downstream`: name -> folder to read from.

    Raises InputError if the folder is missing or contains none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"The transfer folder {folder} does not exist; give SentEval's data folder.")
    roots = [root for root in (folder, folder / "downstream") if root.is_dir()]
    found = {
        name: root
        for name in TRANSFER_TASKS
        for root in reversed(roots)
        if all((root / f).is_file() for f in _files(name))
    }
    if not found:
        raise InputError(
            f"The folder {folder} holds no transfer task; expected SentEval's files such as MR/rt-polarity.pos."
        )
    return found


def read_transfer(name: str, root: Path) -> TransferTask:
    """Read one task found by `find_transfer`.

    Raises InputError with file and line if more than 5 % or all of a file's lines are unusable.
    """
    if name in _BY_CLASS:
        files = [(root / file, _plain(label)) for label, file in enumerate(_BY_CLASS[name])]
        read = [_read(path, parse) for path, parse in files]
        parts = {"all": _labelled([example for examples, _ in read for example in examples])}
        return TransferTask(name, parts, False, sum(bad for _, bad in read))
    parse, skip = {"SST2": (_scored, 0), "TREC": (_question, 0), "MRPC": (_paraphrase, 1)}[name]
    by_part = {part: _read(root / file, parse, skip=skip) for part, file in _BY_PART[name].items()}
    parts = {part: _labelled(examples) for part, (examples, _) in by_part.items()}
    return TransferTask(name, parts, name == "MRPC", sum(bad for _, bad in by_part.values()))


def _files(name: str) -> list[str]:
    return list(_BY_CLASS[name]) if name in _BY_CLASS else list(_BY_PART[name].values())


def _plain(label: int) -> Callable[[str], Example]:
    return lambda line: (_spaced(line), "", label)


def _scored(line: str) -> Example:
    text, label = line.split("\t")
    return _spaced(text), "", _one_of(label.strip(), ("0", "1"))


def _question(line: str) -> Example:
    kind, text = line.split(" ", 1)
    return _spaced(text), "", _one_of(kind.split(":")[0], _QUESTION_CLASSES)


def _paraphrase(line: str) -> Example:
    label, _, _, first, second = line.split("\t")
    if not second.strip():
        raise ValueError("no second sentence")
    return _spaced(first), _spaced(second), _one_of(label.strip(), ("0", "1"))


def _one_of(text: str, classes: tuple[str, ...]) -> int:
    return classes.index(text)


def _spaced(text: str) -> str:
    return " ".join(text.split())


def _read(path: Path, parse: Callable[[str], Example], *, skip: int = 0) -> tuple[list[Example], int]:
    """Return the usable examples of a file and the number of unusable lines."""
    examples: list[Example] = []
    bad: list[int] = []
    for number, line in enumerate(_lines(path), start=1):
        if number <= skip or not line.strip():
            continue
        try:
            example = parse(line)
        except ValueError:
            bad.append(number)
            continue
        if example[0]:
            examples.append(example)
        else:
            bad.append(number)
    if not examples or len(bad) > max(1, _TOLERATED_BAD_SHARE * (len(examples) + len(bad))):
        where = f", the first is line {bad[0]}" if bad else ""
        raise InputError(f"{path} cannot be used: {len(bad)} of {len(examples) + len(bad)} lines are bad{where}.")
    return examples, len(bad)


def _lines(path: Path) -> list[str]:
    # SentEval's copies are a mixture of the two encodings; text in Latin-1 is hardly ever valid UTF-8.
    try:
        return list(text_lines(path))
    except InputError:
        return list(text_lines(path, encoding="latin-1"))


def _labelled(examples: list[Example]) -> LabelledTexts:
    first, second, label = zip(*examples, strict=True)
    return LabelledTexts(list(first), list(second), np.array(label, dtype=np.int64))


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
