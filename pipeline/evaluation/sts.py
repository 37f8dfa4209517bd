"""Semantic textual similarity tasks read from a local folder, as TSV files or in SentEval's layout."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from pipeline.evaluation.own_pairs import guess_columns
from pipeline.files.cells import read_numbers
from pipeline.files.rows import Rejected, column_names, read_rows
from pipeline.files.source import make_source, text_lines
from pipeline.records import InputError

_TSV_COLUMNS = ("score", "sentence1", "sentence2")
_SICK_COLUMNS = ("relatedness_score", "sentence_A", "sentence_B")


@dataclass(frozen=True, slots=True)
class Line:
    """One line split into cells, with its score as text."""

    file: str
    line: int
    subset: str
    score: str
    sentence1: str
    sentence2: str


@dataclass(frozen=True, slots=True)
class RowError:
    """One line that could not be used: 1-based line number and the reason."""

    file: str
    line: int
    reason: str


def read_tsv(path: Path) -> list[Line | RowError]:
    """Read our format: a header with score, sentence1, sentence2 (subset optional), tabs, no quoting."""
    return _read_table(path, _TSV_COLUMNS, subset_column="subset")


def read_text_table(path: Path) -> list[Line | RowError]:
    """Read SICK's text files: a header with sentence_A, sentence_B, relatedness_score."""
    return _read_table(path, _SICK_COLUMNS, subset_column="entailment_judgment")


def read_csv(path: Path) -> list[Line | RowError]:
    """Read the STS benchmark's own layout, or a csv file with a header."""
    first = next(text_lines(path), "").split("\t")
    return read_benchmark_csv(path) if len(first) >= 7 and "score" not in first else read_table(path)


def read_table(path: Path) -> list[Line | RowError]:
    """Read a csv, JSON or Parquet file with the usual column names of two sentences and a score, perhaps subset."""
    columns = guess_columns(path, path.name)
    if None in columns:
        raise InputError(f"{path} has no columns called like two sentences and a score: sentence1, sentence2, score.")
    first, second, score = (str(column) for column in columns)
    source = make_source(path)
    subset = [name for name in column_names(source) if name == "subset"]
    rows: list[Line | RowError] = []
    for row in read_rows(source, (first, second, score, *subset), numbers={score}):
        if isinstance(row, Rejected):
            rows.append(RowError(str(path), row.line, row.reason))
        else:
            cells = row.cells
            rows.append(Line(str(path), row.line, cells.get("subset", ""), cells[score], cells[first], cells[second]))
    return rows


def is_table(path: Path) -> bool:
    """Whether the names of the file's columns make it a table of scored pairs."""
    try:
        return path.suffix.lower() in TABLE_ENDINGS and None not in guess_columns(path, path.name)
    except InputError:
        return False


def read_benchmark_csv(path: Path) -> list[Line | RowError]:
    """Read the STS benchmark: tabs in spite of its name, no header: genre, file, year, id, score, two sentences."""
    rows: list[Line | RowError] = []
    for number, line in _numbered_lines(path):
        cells = line.split("\t")
        if len(cells) < 7:
            rows.append(RowError(str(path), number, f"{len(cells)} columns where 7 are expected"))
        else:
            rows.append(Line(str(path), number, f"{cells[0]}/{cells[1]}", cells[4], cells[5], cells[6]))
    return rows


def read_year_folder(folder: Path) -> list[Line | RowError]:
    """Read a SemEval year: `STS.input.NAME.txt` beside `STS.gs.NAME.txt`; pairs with an empty gold line are skipped.

    Raises InputError when a gold file is missing or its number of lines differs from its input's.
    """
    inputs = sorted(folder.glob("STS.input.*.txt"))
    if not inputs:
        raise InputError(f"The folder {folder} holds no STS.input.*.txt file; it is not one of SentEval's STS years.")
    return [row for path in inputs for row in _read_pair_of_files(path)]


def _read_pair_of_files(inputs: Path) -> Iterable[Line | RowError]:
    subset = inputs.name.removeprefix("STS.input.").removesuffix(".txt")
    gold = inputs.with_name(f"STS.gs.{subset}.txt")
    if not gold.is_file():
        raise InputError(f"The gold scores {gold} are missing; they belong to {inputs.name}.")
    texts, scores = list(text_lines(inputs)), list(text_lines(gold))
    if len(texts) != len(scores):
        raise InputError(f"{inputs} has {len(texts)} lines but {gold.name} has {len(scores)}; they must be parallel.")
    for number, (text, score) in enumerate(zip(texts, scores, strict=True), start=1):
        if not score.strip():
            continue
        cells = text.split("\t")
        if len(cells) < 2:
            yield RowError(str(inputs), number, "no tab between two sentences")
        else:
            yield Line(str(inputs), number, subset, score, cells[0], cells[1])


def _read_table(path: Path, columns: tuple[str, str, str], *, subset_column: str) -> list[Line | RowError]:
    header = next(text_lines(path), "").split("\t")
    missing = [name for name in columns if name not in header]
    if missing:
        raise InputError(
            f"{path} line 1 lacks the column {' and '.join(missing)}; it has: {', '.join(header) or 'nothing'}."
        )
    score_at, first_at, second_at = (header.index(name) for name in columns)
    subset_at = header.index(subset_column) if subset_column in header else None
    rows: list[Line | RowError] = []
    for number, line in _numbered_lines(path, skip=1):
        cells = line.split("\t")
        if len(cells) != len(header):
            rows.append(RowError(str(path), number, f"{len(cells)} columns where the header has {len(header)}"))
            continue
        subset = "" if subset_at is None else cells[subset_at]
        rows.append(Line(str(path), number, subset, cells[score_at], cells[first_at], cells[second_at]))
    return rows


def _numbered_lines(path: Path, skip: int = 0) -> list[tuple[int, str]]:
    return [(number, line) for number, line in enumerate(text_lines(path), start=1) if number > skip and line.strip()]


ROW_READERS: dict[str, Callable[[Path], list[Line | RowError]]] = {
    ".tsv": read_tsv,
    ".txt": read_text_table,
    ".csv": read_csv,
    "folder": read_year_folder,
}
"""Reader by file suffix, or `folder` for a SemEval year; other tables go to `read_table`."""
TABLE_ENDINGS = (".csv", ".jsonl", ".ndjson", ".json", ".parquet")


STANDARD_TASKS = ("STS12", "STS13", "STS14", "STS15", "STS16", "STSB-test", "SICKR-test")
"""The seven SentEval tasks whose mean is published; every average states how many of them it covers."""

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
    """Unusable lines with their reasons; they are counted and never filled in."""

    def __len__(self) -> int:
        return len(self.gold)

    def apart_from(self, others: "Iterable[StsTask]") -> "StsTask":
        """Return the pairs that share no sentence with these tasks. Raises InputError if none remain."""
        taken = {sentence for task in others for sentence in (*task.sentence1, *task.sentence2)}
        pairs = enumerate(zip(self.sentence1, self.sentence2, strict=True))
        rows = [row for row, pair in pairs if taken.isdisjoint(pair)]
        if not rows:
            raise InputError(f"Every pair of {self.name} shares a sentence with a test task; name another dev task.")
        first, second, subset = ([of[row] for row in rows] for of in (self.sentence1, self.sentence2, self.subset))
        return replace(self, sentence1=first, sentence2=second, gold=self.gold[rows], subset=subset)


def find_tasks(folder: Path, *, for_tuning: bool = False) -> dict[str, Path]:
    """Find the STS tasks in a folder: every `*.tsv` (named after the task) and SentEval's files and folders.

    csv, JSON and Parquet files count if their columns have the usual names of two sentences and a score.

    Names ending in `-train` and `-dev` are for calibration and model selection and are left out unless `for_tuning`
    is set. Raises InputError if the folder is missing or contains no task.
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

    Unusable lines are listed in `rejected` and the rest is used. Raises InputError, naming file and line,
    when columns are missing, nothing is usable, or more than 5 % of the lines are unusable.
    """
    path = Path(path)
    lines = _read_lines(path)
    kept: list[Line] = []
    gold: list[float] = []
    rejected: list[RowError] = []
    values = iter(read_numbers([line.score for line in lines if isinstance(line, Line)]))  # read as one column
    for line in lines:
        if isinstance(line, RowError):
            rejected.append(line)
            continue
        value = next(values)
        if isinstance(value, str):
            rejected.append(RowError(line.file, line.line, f"the score {line.score[:40]!r} {value}"))
        elif not line.sentence1.strip() or not line.sentence2.strip():
            rejected.append(RowError(line.file, line.line, "a sentence is empty"))
        else:
            kept.append(line)
            gold.append(value)
    _refuse_if_unusable(path, len(kept), rejected)
    # SentEval splits at white space and joins again; the check values hold for texts read this way.
    first = [" ".join(line.sentence1.split()) for line in kept]
    second = [" ".join(line.sentence2.split()) for line in kept]
    return StsTask(name, first, second, np.array(gold), [line.subset for line in kept], rejected)


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


_SOURCES = {
    "captions": "captions images main-captions msrvid",
    "news": "deft-news headlines main-news msrpar",
    "forums": "answers-forums belief deft-forum main-forum main-forums",
    "tweets": "tweet-news tweets",
    "definitions": "fnwn onwn",
    "machine translation": "postediting smt smteuroparl smtnews",
    "student answers": "answers-students",
    "questions": "answer-answer question-question",
    "plagiarism": "plagiarism",
}
_SOURCE_OF = {subset: source for source, subsets in _SOURCES.items() for subset in subsets.split()}


def source_of(subset: str) -> str:
    """Return the source of a subset by its name, "" if unknown; `main-news/MSRpar` is news."""
    parts = [part.strip().lower() for part in subset.split("/")]
    return next((_SOURCE_OF[part] for part in parts if part in _SOURCE_OF), "")
