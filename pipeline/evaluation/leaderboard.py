"""A table of encoders x tasks for a paper, as Markdown, LaTeX or CSV; missing scores stay missing."""

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from pipeline.evaluation.sts import STANDARD_TASKS
from pipeline.files.cells import escape_markdown, formula_safe


@dataclass(frozen=True, slots=True)
class Published:
    """One published encoder."""

    name: str
    base: str
    scores: tuple[float | None, ...]
    """Per standard task; None if the source gives no number."""
    average: float | None
    """As given by the source, or the mean of the rounded scores."""
    source: str
    labels: str = ""
    """Human labels of sentence pairs that it was trained on, as its source or card says; "unknown" if not found."""

    def by_task(self) -> dict[str, float]:
        """Return the available scores by task."""
        return {task: value for task, value in zip(STANDARD_TASKS, self.scores, strict=True) if value is not None}


_NONE: tuple[float | None, ...] = (None,) * len(STANDARD_TASKS)

_GENSE, _EOL = "README of MatthewCYM/GenSE", "README of kongds/scaling_sentemb"
_SYNCSE, _CLAIF = "README of SynCSE, on cleaned data", "README of xiami2019/CLAIF"
_MTEB = "embeddings-benchmark/results, f4cc6c8: mteb's six comparable tasks"
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
    *(
        Published("SimCSE, supervised", base, tuple(scores), average, _SIMCSE, "NLI")
        for base, *scores, average in (
            ("BERT-base", 75.30, 84.67, 80.19, 85.40, 80.82, 84.25, 80.39, 81.57),
            ("RoBERTa-base", 76.53, 85.21, 80.95, 86.03, 82.57, 85.83, 80.50, 82.52),
            ("RoBERTa-large", 77.46, 87.27, 82.36, 86.66, 83.93, 86.70, 81.95, 83.76),
        )
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
    *(
        Published(name, base, tuple(scores), average, source, labels)
        for name, base, source, labels, *scores, average in (
            ("GenSE", "T5-base", _GENSE, "NLI", 80.72, 87.43, 83.96, 88.63, 85.19, 87.65, 79.87, 84.78),
            ("GenSE+", "T5-base", _GENSE, "NLI", 80.65, 88.18, 84.69, 89.03, 85.82, 87.88, 80.10, 85.19),
            ("PromptEOL, untrained", "OPT-125M", _EOL, "", 62.22, 73.10, 61.84, 71.09, 72.08, 67.80, 64.10, 67.46),
            ("PromptEOL, untrained", "OPT-1.3B", _EOL, "", 72.78, 83.77, 73.61, 83.42, 80.60, 78.80, 69.69, 77.52),
            ("PromptEOL", "OPT-1.3B", _EOL, "NLI", 79.01, 89.26, 84.10, 88.30, 84.62, 87.71, 80.52, 84.79),
            ("PromptEOL", "LLaMA-7B", _EOL, "NLI", 79.16, 90.22, 85.40, 88.99, 86.25, 88.37, 81.51, 85.70),
        )
    ),
    *(
        Published(name, base, _NONE, average, source, labels)
        for name, base, source, labels, average in (
            ("SynCSE-scratch", "RoBERTa-base", _SYNCSE, "", 80.66),
            ("SynCSE-partial", "RoBERTa-large", _SYNCSE, "", 82.66),
            ("CLAIF", "BERT-base", _CLAIF, "STS-B sentences", 79.63),
            ("CLAIF", "RoBERTa-base", _CLAIF, "STS-B sentences", 79.90),
            ("GCSE", "BERT-base", "README of aleversn/GCSE", "", 81.98),
            ("GCSE", "RoBERTa-base", "README of aleversn/GCSE", "", 82.12),
        )
    ),
    *(
        Published(name, "", (*scores, None), average, _MTEB, labels)
        for name, labels, *scores, average in (
            ("all-MiniLM-L6-v2", "NLI", 72.37, 80.60, 75.59, 85.39, 78.99, 82.03, 79.16),
            ("all-MiniLM-L12-v2", "unknown", 73.08, 82.13, 76.73, 85.58, 80.23, 83.09, 80.14),
            ("all-mpnet-base-v2", "unknown", 72.63, 83.48, 78.00, 85.66, 80.03, 83.42, 80.54),
            ("static-similarity-mrl-multilingual-v1", "NLI", 71.57, 74.33, 72.82, 82.53, 78.45, 79.94, 76.61),
            ("static-retrieval-mrl-en-v1", "unknown", 60.43, 72.57, 69.62, 80.07, 72.81, 74.02, 71.59),
            ("potion-base-2M", "unknown", 62.08, 75.73, 69.28, 76.33, 73.47, 72.81, 71.62),
            ("potion-base-8M", "unknown", 62.25, 77.28, 71.91, 79.75, 76.26, 75.41, 73.81),
            ("gte-small", "unknown", 75.12, 85.09, 81.03, 88.32, 83.91, 85.57, 83.17),
            ("E5-mistral-7b-instruct", "unknown", 79.65, 88.43, 84.54, 90.42, 87.69, 88.60, 86.56),
            ("Qwen3-Embedding-0.6B", "unknown", 83.00, 91.76, 87.10, 91.45, 90.52, 91.13, 89.16),
            ("Qwen3-Embedding-8B", "unknown", 86.14, 94.22, 90.42, 93.73, 92.86, 93.60, 91.83),
        )
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
    study: str = ""
    """The study whose arm it is, with its number of seeds; empty for a single encoder."""
    is_tied: bool = False
    """Whether its mean is the best of the encoders measured here, or no clear difference to it was found."""

    @property
    def origin(self) -> str:
        """Where its numbers come from; empty for an encoder that was measured here by itself."""
        return self.source or self.study


def measured(name: str, spearman: dict[str, float], *, study: str = "", is_tied: bool = False) -> Entry:
    """Build the row of an encoder, or of the seeds of a study's arm, from (mean) Spearman correlations, fractions.

    The mean is over the standard tasks, each rounded to two digits as in published tables, or over all tasks if none
    is standard. Missing and undefined scores are not averaged.
    """
    scores = {task: round(100 * value, 2) for task, value in spearman.items() if isfinite(value)}
    counted = [task for task in STANDARD_TASKS if task in scores] or list(scores)
    average = round(sum(scores[task] for task in counted) / len(counted), 2) if counted else None
    return Entry(name, scores, average, len(counted), study=study, is_tied=is_tied)


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
    # A source that gives an average alone gives that of the seven tasks.
    covered = len(scores) or (len(STANDARD_TASKS) if row.average is not None else 0)
    source = f"{row.source}; labels seen: {row.labels}" if row.labels else row.source
    return Entry(name, scores, row.average, covered, source)


def columns(entries: Sequence[Entry]) -> list[str]:
    """Return the standard tasks, then all other tasks that occur."""
    found = {task for entry in entries for task in entry.scores}
    return [*STANDARD_TASKS, *sorted(found - set(STANDARD_TASKS))]


def as_markdown(entries: Sequence[Entry]) -> str:
    """Return a Markdown table with the means in bold that are tied with the best."""
    tasks = columns(entries)
    head = ["Encoder", *map(escape_markdown, tasks), "Average", "Tasks", "Source"]
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join(['---'] + ['---:'] * (len(tasks) + 2) + ['---'])}|"]
    for entry in entries:
        cells = [_number(entry.scores.get(task)) for task in tasks]
        row = [escape_markdown(entry.name), *cells, _mean(entry, "**{}**"), str(entry.averaged_over)]
        lines.append(f"| {' | '.join([*row, escape_markdown(entry.origin)])} |")
    return "\n".join(lines) + "\n"


def as_latex(entries: Sequence[Entry]) -> str:
    """Return a LaTeX tabular (booktabs) with the means in bold that are tied with the best."""
    tasks = columns(entries)
    head = ["Encoder", *tasks, "Average", "Tasks"]
    lines = [
        rf"\begin{{tabular}}{{l{'r' * (len(tasks) + 2)}}}",
        r"\toprule",
        " & ".join(map(_escape_latex, head)) + r" \\",
        r"\midrule",
    ]
    for entry in entries:
        cells = [_number(entry.scores.get(task)) for task in tasks]
        row = [_escape_latex(entry.name), *cells, _mean(entry, r"\textbf{{{}}}"), str(entry.averaged_over)]
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
        writer.writerow([_cell(entry.name), *numbers, average, entry.averaged_over, _cell(entry.origin)])
    return out.getvalue()


def _cell(text: str) -> str:
    return formula_safe(" ".join(text.split()))


def _mean(entry: Entry, bold: str) -> str:
    return bold.format(_number(entry.average)) if entry.is_tied else _number(entry.average)


def _number(value: float | None) -> str:
    return DASH if value is None else f"{value:.2f}"


def _escape_latex(text: str) -> str:
    return "".join(_LATEX.get(mark, mark) for mark in " ".join(text.split()))
