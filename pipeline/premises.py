"""Premises from a file or pasted text: every row becomes a premise, a duplicate or a rejection with a reason."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pipeline.files.rows import Rejected, Row, column_names, read_rows, text_fault
from pipeline.files.source import MAX_LINE_BYTES, Source, make_source
from pipeline.records import InputError, Premise

MAX_PREMISE_CHARS = 2_000
"""Longest premise accepted, in characters."""

USUAL_COLUMNS = ("premise", "text", "sentence", "sent0", "sentence1", "anchor", "query", "caption")
"""Columns taken when the user chose none: the first of these that the file has, ignoring case."""


@dataclass(frozen=True, slots=True)
class PremiseFile:
    """Contents of a file; len(premises) + duplicates + len(rejected) == lines."""

    premises: list[Premise]
    rejected: list[Rejected]
    duplicates: int
    lines: int
    encoding: str = "utf-8"
    """Encoding the file was read with."""

    def reasons(self) -> dict[str, int]:
        """Count the rejected rows by reason, the most frequent first."""
        return dict(Counter(row.reason for row in self.rejected).most_common())


def columns(content: Path | str | bytes, *, name: str = "", encoding: str = "") -> list[str]:
    """Return the columns to choose from; a plain text file has the single column "text". Raises InputError."""
    return column_names(make_source(content, name, encoding=encoding))


def preview(content: Path | str | bytes, column: str | None = None, rows: int = 10, *, name: str = "") -> list[str]:
    """Return the first premises as they would be imported, reading no further than needed. Raises InputError."""
    source = make_source(content, name)
    accepted = (row.cells[""] for row in _premise_rows(source, column) if isinstance(row, Row))
    return list(islice(accepted, rows))


def read_premises(
    content: Path | str | bytes,
    *,
    name: str = "",
    column: str | None = None,
    max_line_bytes: int = MAX_LINE_BYTES,
    encoding: str = "",
) -> PremiseFile:
    """Read premises from txt, csv, tsv, JSON or parquet.

    White space at the ends is dropped and runs of it become one space; nothing else is changed. The first of several
    equal premises is kept and the others count as duplicates; Unicode composition (é as one character or two) makes
    no difference. A row is one line, or one record of a csv or parquet file; the header is not a row. At most
    max_line_bytes of a line are held in memory.

    Args:
        content: path of the file, or its bytes (an upload, pasted text encoded as UTF-8).
        name: name of the file as shown to people; its ending decides the format. Empty takes the path's own name.
        column: column or field that holds the premise; None takes the only one, or the first of USUAL_COLUMNS.
        max_line_bytes: longest line accepted; longer ones are rejected.
        encoding: Python's name for the encoding of a text format (cp1252); empty for UTF-8.

    Raises:
        InputError: the file as a whole cannot be used: missing, empty, binary, of unknown type, without the column.
    """
    premises: dict[str, Premise] = {}
    rejected: list[Rejected] = []
    rows = 0
    source = make_source(content, name, max_line_bytes, encoding)
    for row in _premise_rows(source, column):
        rows += 1
        if isinstance(row, Rejected):
            rejected.append(row)
        else:
            premise = Premise.from_text(row.cells[""])
            premises.setdefault(premise.premise_id, premise)
    duplicates = rows - len(rejected) - len(premises)
    return PremiseFile(list(premises.values()), rejected, duplicates, rows, source.encoding)


def _premise_rows(source: Source, column: str | None) -> Iterator[Row | Rejected]:
    """Yield every row; accepted ones hold the cleaned premise as their only cell, named ""."""
    chosen = column or _usual_column(source)
    for row in read_rows(source, (chosen,)):
        yield row if isinstance(row, Rejected) else _cleaned(row, chosen)


def _cleaned(row: Row, column: str) -> Row | Rejected:
    text = " ".join(row.cells[column].split())
    fault = text_fault(text, max_chars=MAX_PREMISE_CHARS)
    return Rejected.of(row.line, fault, text) if fault else Row(row.line, {"": text})


def _usual_column(source: Source) -> str:
    offered = column_names(source)
    if len(offered) == 1:
        return offered[0]
    usual = usual_column(offered)
    if usual is None:
        has = ", ".join(offered[:30]) or "none"
        raise InputError(
            f"{source.name} does not say which column holds the premise; choose one of its columns: {has}."
        )
    return usual


def usual_column(offered: Sequence[str]) -> str | None:
    """Return the column that likely holds the premises; None if no name is a usual one."""
    lower = {column.casefold(): column for column in reversed(offered)}
    return next((lower[name] for name in USUAL_COLUMNS if name in lower), None)
