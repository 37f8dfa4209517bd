"""A table of encoders x tasks for a paper, as Markdown, LaTeX or CSV; missing scores stay missing."""

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from pipeline.evaluation.sts import STANDARD_TASKS
from pipeline.files.cells import formula_safe


@dataclass(frozen=True, slots=True)
class Published:
    """One published encoder."""

    name: str
    base: str
    scores: tuple[float | None, ...]
    """Per standard task; None if the source gives no number."""
    average: float | None
    """As given by the source, or the mean of the seven rounded scores."""
    source: str

    def by_task(self) -> dict[str, float]:
        """Return the available scores by task."""
        return {task: value for task, value in zip(STANDARD_TASKS, self.scores, strict=True) if value is not None}


_NONE: tuple[float | None, ...] = (None,) * len(STANDARD_TASKS)

_SIMCSE, _AWESOME = "SimCSE paper, table 5", "README of Doragd/Awesome-Sentence-Embedding"
PUBLISHED: tuple[Published, ...] = (
    Published("MultiCSR", "", _NONE, None, "not verified: enter the numbers from the paper (arXiv 2310.10962)"),
    Published(
        "SimCSE, unsupervised",
        "BERT-base",
        (68.40, 82.41, 74.38, 80.91, 78.56, 76.85, 72.23),
        76.25,
        "princeton-nlp/SimCSE, issue 100",
    ),
    Published(
        "SimCSE, unsupervised", "RoBERTa-base", (70.16, 81.77, 73.24, 81.36, 80.65, 80.22, 68.56), 76.57, _AWESOME
    ),
    Published("SimCSE, supervised", "BERT-base", (75.30, 84.67, 80.19, 85.40, 80.82, 84.25, 80.39), 81.57, _SIMCSE),
    Published(
        "SimCSE, supervised", "RoBERTa-base", (76.53, 85.21, 80.95, 86.03, 82.57, 85.83, 80.50), 82.52, _SIMCSE
    ),
    Published(
        "SimCSE, supervised", "RoBERTa-large", (77.46, 87.27, 82.36, 86.66, 83.93, 86.70, 81.95), 83.76, _SIMCSE
    ),
    Published(
        "SynCSE-partial", "RoBERTa-base", (76.14, 84.41, 79.23, 84.85, 82.87, 83.95, 81.41), 81.84, "README of SynCSE"
    ),
    Published("RankCSE listMLE", "BERT-base", (75.66, 86.27, 77.81, 84.74, 81.10, 81.80, 75.13), 80.36, _AWESOME),
    Published("RankCSE listNet", "RoBERTa-base", (72.88, 84.50, 76.46, 84.67, 83.00, 83.24, 71.67), 79.49, _AWESOME),
    Published(
        "DenoSent, released checkpoint",
        "BERT-base",
        (75.48, 83.82, 77.54, 84.76, 80.16, 81.20, 73.97),
        79.56,
        "README of DenoSent",
    ),
)

DASH = "–"
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One encoder: Spearman x 100 per task, their mean, its number of tasks, and the source of published numbers."""

    name: str
    scores: dict[str, float]
    average: float | None
    averaged_over: int
    source: str = ""


def measured(name: str, spearman: dict[str, float]) -> Entry:
    """Build the row of an encoder from its Spearman correlations, fractions.

    The mean is over the standard tasks, each rounded to two digits as in published tables, or over all tasks if none
    is standard. Missing and undefined scores are not averaged.
    """
    scores = {task: round(100 * value, 2) for task, value in spearman.items() if isfinite(value)}
    counted = [task for task in STANDARD_TASKS if task in scores] or list(scores)
    average = round(sum(scores[task] for task in counted) / len(counted), 2) if counted else None
    return Entry(name, scores, average, len(counted))


def compared_tasks(scored: Mapping[str, Collection[str]]) -> list[str]:
    """Return the tasks over which means of encoders may be compared: encoder -> its tasks, to one set of tasks.

    Of the standard tasks (of all, where nobody has a standard one) it is the set that some encoder has and that holds
    most scores: its size times the encoders that have all of it. A task of one's own, or one encoder with more tasks
    than all others, changes no mean.
    """
    standard = {name: frozenset(tasks) & set(STANDARD_TASKS) for name, tasks in scored.items()}
    sets = standard if any(standard.values()) else {name: frozenset(tasks) for name, tasks in scored.items()}

    def worth(tasks: frozenset[str]) -> tuple[int, int, list[str]]:
        return len(tasks) * sum(tasks <= others for others in sets.values()), len(tasks), sorted(tasks)

    best = max(sets.values(), key=worth)
    return [task for task in STANDARD_TASKS if task in best] or sorted(best)


def published(row: Published) -> Entry:
    """Build the row of a published encoder."""
    name = f"{row.name} ({row.base})" if row.base else row.name
    scores = row.by_task()
    return Entry(name, scores, row.average, len(scores), row.source)


def columns(entries: Sequence[Entry]) -> list[str]:
    """Return the standard tasks, then all other tasks that occur."""
    found = {task for entry in entries for task in entry.scores}
    return [*STANDARD_TASKS, *sorted(found - set(STANDARD_TASKS))]


def as_markdown(entries: Sequence[Entry]) -> str:
    """Return a Markdown table with the best measured score of each task in bold."""
    tasks = columns(entries)
    head = ["Encoder", *tasks, "Average", "Tasks", "Source"]
    best = _best(entries, tasks)
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join(['---'] + ['---:'] * (len(tasks) + 2) + ['---'])}|"]
    for entry in entries:
        cells = [_bold(_number(entry.scores.get(task)), entry, task, best, "**{}**") for task in tasks]
        row = [escape_markdown(entry.name), *cells, _number(entry.average), str(entry.averaged_over)]
        lines.append(f"| {' | '.join([*row, escape_markdown(entry.source)])} |")
    return "\n".join(lines) + "\n"


def as_latex(entries: Sequence[Entry]) -> str:
    """Return a LaTeX tabular (booktabs) with the best measured score of each task in bold."""
    tasks = columns(entries)
    best = _best(entries, tasks)
    head = ["Encoder", *tasks, "Average", "Tasks"]
    lines = [
        rf"\begin{{tabular}}{{l{'r' * (len(tasks) + 2)}}}",
        r"\toprule",
        " & ".join(map(_escape_latex, head)) + r" \\",
        r"\midrule",
    ]
    for entry in entries:
        cells = [_bold(_number(entry.scores.get(task)), entry, task, best, r"\textbf{{{}}}") for task in tasks]
        row = [_escape_latex(entry.name), *cells, _number(entry.average), str(entry.averaged_over)]
        lines.append(" & ".join(cell.replace(DASH, "--") for cell in row) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def as_csv(entries: Sequence[Entry]) -> str:
    """Return a CSV table; missing scores are empty cells, and no cell is a formula to a spreadsheet."""
    tasks = columns(entries)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_cell(cell) for cell in ["encoder", *tasks, "average", "tasks", "source"]])
    for entry in entries:
        numbers = ["" if (value := entry.scores.get(task)) is None else f"{value:.2f}" for task in tasks]
        average = "" if entry.average is None else f"{entry.average:.2f}"
        writer.writerow([_cell(entry.name), *numbers, average, entry.averaged_over, _cell(entry.source)])
    return out.getvalue()


def _cell(text: str) -> str:
    return formula_safe(" ".join(text.split()))


def _best(entries: Sequence[Entry], tasks: Sequence[str]) -> dict[str, float]:
    own = [entry for entry in entries if not entry.source]
    return {
        task: max(entry.scores[task] for entry in own if task in entry.scores)
        for task in tasks
        if any(task in entry.scores for entry in own)
    }


def _bold(text: str, entry: Entry, task: str, best: dict[str, float], form: str) -> str:
    is_best = not entry.source and task in entry.scores and entry.scores[task] == best.get(task)
    return form.format(text) if is_best else text


def _number(value: float | None) -> str:
    return DASH if value is None else f"{value:.2f}"


def escape_markdown(text: str) -> str:
    """Escape a text for a cell of a Markdown table."""
    one_line = " ".join(text.split())
    return "".join(f"\\{mark}" if mark in "\\|*_`<>[]" else mark for mark in one_line)


def _escape_latex(text: str) -> str:
    return "".join(_LATEX.get(mark, mark) for mark in " ".join(text.split()))
