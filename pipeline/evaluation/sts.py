"""Semantic textual similarity tasks read from a local folder, as TSV files or in SentEval's layout."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipeline.errors import InputError
from pipeline.evaluation.sts_formats import (
    ROW_READERS,
    TABLE_ENDINGS,
    Line,
    Row,
    RowError,
    is_table,
    read_table,
    scored,
)

STANDARD_TASKS = ("STS12", "STS13", "STS14", "STS15", "STS16", "STSB-test", "SICKR-test")
"""The seven tasks of SentEval whose mean is published; an average names how many of them it covers."""

_SENTEVAL_FILES = {
    "STSBenchmark/sts-train.csv": "STSB-train",
    "STSBenchmark/sts-dev.csv": "STSB-dev",
    "STSBenchmark/sts-test.csv": "STSB-test",
    "SICK/SICK_train.txt": "SICKR-train",
    "SICK/SICK_trial.txt": "SICKR-dev",
    "SICK/SICK_test_annotated.txt": "SICKR-test",
}
_TOLERATED_BAD_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class StsTask:
    """Sentence pairs of one task with their gold scores; all subsets concatenated."""

    name: str
    sentence1: list[str]
    sentence2: list[str]
    gold: np.ndarray
    """float64 (pairs,), in the task's own scale."""
    subset: list[str]
    rejected: list[RowError] = field(default_factory=list)
    """Lines that could not be used, each with its reason; they are counted, never filled in."""

    def __len__(self) -> int:
        return len(self.gold)


def find_tasks(folder: Path, *, for_tuning: bool = False) -> dict[str, Path]:
    """Find the STS tasks in a folder: every `*.tsv` (file name = task) and SentEval's files and folders.

    csv, JSON and Parquet files count where their columns are called like two sentences and a score.

    Names ending in `-train` and `-dev` belong to calibration and model choice and are left out unless
    `for_tuning` asks for them. Raises InputError for a folder that is absent or holds no task.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"The STS folder {folder} does not exist; give a folder with TSV files or SentEval's tasks.")
    files = sorted(path for path in folder.iterdir() if path.is_file())
    found = {path.stem: path for path in files if is_table(path)} | _senteval_tasks(folder)
    found |= {path.stem: path for path in files if path.suffix == ".tsv"}
    if not for_tuning:
        found = {name: path for name, path in found.items() if not name.endswith(("-train", "-dev"))}
    if not found:
        raise InputError(f"The folder {folder} holds no STS task; expected files such as STSB-test.tsv in it.")
    return dict(sorted(found.items(), key=lambda item: _order(item[0])))


def read_task(name: str, path: Path) -> StsTask:
    """Read one task found by `find_tasks`.

    A single unusable line is listed in `rejected` and the rest is used. Raises InputError, naming file and line,
    when columns are missing, nothing is usable, or more than 5 % of the lines are unusable.
    """
    path = Path(path)
    rows: list[Row] = []
    rejected: list[RowError] = []
    for item in scored(_read_lines(path)):
        (rows if isinstance(item, Row) else rejected).append(item)  # type: ignore[arg-type]
    _refuse_if_unusable(path, len(rows), rejected)
    return StsTask(
        name=name,
        sentence1=[row.sentence1 for row in rows],
        sentence2=[row.sentence2 for row in rows],
        gold=np.array([row.score for row in rows], dtype=np.float64),
        subset=[row.subset for row in rows],
        rejected=rejected,
    )


def read_tasks(folder: Path) -> list[StsTask]:
    """Read every task of a folder that is evaluated by default, standard tasks first."""
    return [read_task(name, path) for name, path in find_tasks(folder).items()]


def _read_lines(path: Path) -> list[Line | RowError]:
    kind = "folder" if path.is_dir() else path.suffix.lower()
    reader = ROW_READERS.get(kind) or (read_table if kind in TABLE_ENDINGS else None)
    if reader is None or not path.exists():
        raise InputError(f"{path} is not an STS task; expected a .tsv or .csv file or one of SentEval's.")
    return reader(path)


def _refuse_if_unusable(path: Path, usable: int, rejected: list[RowError]) -> None:
    if usable == 0 and not rejected:
        raise InputError(f"{path} holds no sentence pair; expected lines with subset, score, sentence1, sentence2.")
    if len(rejected) > max(1, _TOLERATED_BAD_SHARE * (usable + len(rejected))) or usable == 0:
        first = rejected[0]
        raise InputError(
            f"{first.file} cannot be used: {len(rejected)} of {usable + len(rejected)} lines are bad, "
            f"the first is line {first.line} ({first.reason})."
        )


def _senteval_tasks(folder: Path) -> dict[str, Path]:
    # SentEval keeps SICK beside, and the other tasks inside, a folder named STS; people point at either level.
    found: dict[str, Path] = {}
    for root in (folder, folder / "STS", folder / "downstream", folder / "downstream" / "STS"):
        for year in range(12, 17):
            task_folder = root / f"STS{year}-en-test"
            if task_folder.is_dir():
                found[f"STS{year}"] = task_folder
        for relative, name in _SENTEVAL_FILES.items():
            if (root / relative).is_file():
                found[name] = root / relative
    return found


def _order(name: str) -> tuple[int, str]:
    return (STANDARD_TASKS.index(name) if name in STANDARD_TASKS else len(STANDARD_TASKS), name)
