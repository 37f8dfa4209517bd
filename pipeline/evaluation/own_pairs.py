"""A user's own scored pairs: any csv, tsv, jsonl or parquet file with two texts and a score becomes an STS task."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline.durable import write_text
from pipeline.exchange import MAX_TEXT_CHARS
from pipeline.files.cells import read_numbers
from pipeline.files.rows import Rejected, Row, column_names, read_rows, text_fault
from pipeline.files.source import Source, make_source
from pipeline.records import InputError

PAIR_KINDS = ("csv", "tsv", "jsonl", "parquet")
"""Kinds of files with columns to choose from."""
_FIRST = ("sentence1", "text1", "sentence_a", "sent1", "s1", "first", "premise")
_SECOND = ("sentence2", "text2", "sentence_b", "sent2", "s2", "second", "hypothesis")
_SCORE = ("score", "gold", "similarity", "label", "relatedness_score", "rating")


@dataclass(frozen=True, slots=True)
class ScoredPair:
    """Two texts and their human similarity score, on any scale."""

    first: str
    second: str
    score: float


@dataclass(frozen=True, slots=True)
class PairFile:
    """Contents of a file; len(pairs) + len(rejected) is its number of rows."""

    pairs: list[ScoredPair]
    rejected: list[Rejected]

    def reasons(self) -> dict[str, int]:
        """Count the rejected rows by reason, the most frequent first."""
        return dict(Counter(row.reason for row in self.rejected).most_common())


def pair_columns(content: Path | bytes, name: str, encoding: str = "") -> list[str]:
    """Return the columns to choose the two texts and the score from.

    Raises InputError for a file that cannot be read or has fewer than three columns.
    """
    source = _table(content, name, encoding)
    offered = column_names(source)
    if len(offered) < 3:
        raise InputError(
            f"{name} has {len(offered)} columns ({', '.join(offered) or 'none'}); pairs need two texts and a score."
        )
    return offered


def guess_columns(content: Path | bytes, name: str, encoding: str = "") -> tuple[str | None, str | None, str | None]:
    """Return the likely columns of the two texts and the score; None where no name is a usual one."""
    offered = pair_columns(content, name, encoding)
    lower = {column.lower(): column for column in reversed(offered)}

    def known(names: Iterable[str]) -> str | None:
        return next((lower[candidate] for candidate in names if candidate in lower), None)

    return known(_FIRST), known(_SECOND), known(_SCORE)


def read_pairs(
    content: Path | bytes, *, name: str, first: str, second: str, score: str, encoding: str = ""
) -> PairFile:
    """Read scored pairs from a file of PAIR_KINDS; unusable rows are rejected with their reason.

    Raises InputError for another type of file, a missing column, and a file in which no row can be used.
    """
    source = _table(content, name, encoding)
    if len({first, second, score}) < 3:
        raise InputError(f"{name} needs three different columns, got {first}, {second}, {score}.")
    rows = list(read_rows(source, (first, second, score), numbers={score}))
    values = iter(read_numbers([row.cells[score] for row in rows if isinstance(row, Row)]))
    pairs: list[ScoredPair] = []
    rejected: list[Rejected] = []
    for row in rows:
        if isinstance(row, Rejected):
            rejected.append(row)
            continue
        value = next(values)
        texts = [" ".join(row.cells[column].split()) for column in (first, second)]
        fault = next((f for text in texts if (f := text_fault(text, max_chars=MAX_TEXT_CHARS))), "")
        if isinstance(value, str) or fault:
            why = fault or f"score {value}"
            rejected.append(Rejected.of(row.line, why, " | ".join((*texts, row.cells[score]))))
        else:
            pairs.append(ScoredPair(texts[0], texts[1], value))
    if len(pairs) < 2:
        raise InputError(f"{name} holds {len(pairs)} usable pairs; a correlation needs at least two.")
    return PairFile(pairs, rejected)


def write_task(pairs: Iterable[ScoredPair], path: Path) -> None:
    """Write pairs as a task file that `sts.read_task` reads."""
    lines = ["score\tsentence1\tsentence2", *(f"{pair.score!r}\t{pair.first}\t{pair.second}" for pair in pairs)]
    write_text(path, "\n".join(lines) + "\n")


def _table(content: Path | bytes, name: str, encoding: str) -> Source:
    source = make_source(content, name, encoding=encoding)
    if source.kind not in PAIR_KINDS:
        raise InputError(f"{name} is not a table of pairs; save it as one of {', '.join(PAIR_KINDS)}.")
    return source
