"""Read and write triplets as csv, JSON, parquet and xlsx, the formats that other tools share."""

import csv
import gzip
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from itertools import compress, islice
from pathlib import Path, PurePath
from typing import IO, Any, Final, cast
from unicodedata import normalize

import pyarrow as pa

from pipeline.durable import whole_file
from pipeline.files.cells import EXPORT_COLUMNS, formula_safe
from pipeline.files.parquet import data_files, is_folder
from pipeline.files.rows import (
    LISTED_ROWS,
    Rejected,
    SeenDigests,
    column_names,
    outcome_columns,
    read_rows,
    text_fault,
)
from pipeline.files.source import MAX_LINE_BYTES, Source, make_source
from pipeline.files.spreadsheet import write_xlsx
from pipeline.records import InputError, StorageError, Triplet

RECORD_COLUMNS = ("premise", "positive", "hard_negative")

EXPORT_KINDS = (".csv", ".jsonl", ".json", ".parquet", ".xlsx")
EXPORT_PACKED = (".gz", ".zst")
"""Endings behind those of csv and JSON."""
FORMS: Final[dict[str, tuple[str, ...]]] = {
    "": RECORD_COLUMNS,
    "simcse": EXPORT_COLUMNS,
    "sentence-transformers": ("anchor", "positive", "negative"),
    "flagembedding": ("query", "pos", "neg"),
    "argilla": RECORD_COLUMNS,
}
"""Whose names the columns of an export have; csv has SimCSE's, whatever the tool, and the last two are JSON."""
MAX_TEXT_CHARS = 10_000
_BLOCK_ROWS = 20_000

_SIDE_NAMES = (
    ("premise", "sent0", "anchor", "query", "question"),
    ("positive", "sent1", "pos"),
    ("hardnegative", "hardneg", "negative", "neg"),
)
"""Usual column names of the three sides, ignoring case, spaces and punctuation; earlier names take precedence."""
_NUMBERED = re.compile(r"(?:hardnegative|hardneg|negative|neg)([0-9]+)")
"""negative_1, negative_2 and so on: several hard negatives of one row."""


@dataclass(frozen=True, slots=True)
class TripletFile:
    """Contents of a file; len(triplets) + duplicates + len(rejected) == lines."""

    triplets: list[Triplet]
    rejected: list[Rejected]
    duplicates: int
    lines: int

    def reasons(self) -> dict[str, int]:
        """Count the rejected rows by reason, the most frequent first."""
        return dict(Counter(row.reason for row in self.rejected).most_common())


class TripletReading:
    """One pass over a file or a datasets folder of triplets, a row at a time: a million of them need little memory.

    Iterate once for the distinct triplets; afterwards kept + duplicates + rejected == lines. Texts stay unchanged,
    except that csv files written here lose their mark against formulas (see formula_safe). The first of equal
    triplets is kept; texts that differ only in Unicode composition are equal. A row that generation marked as failed
    on either side is rejected with that outcome. A row with lists of positives or hard negatives counts once per
    triplet: each text of the longer list occurs once, and the shorter list repeats; so does one with several columns
    of hard negatives. Raises InputError if the whole file cannot be used.

    columns: of premise, positive and one or more hard negatives, for a file whose names do not say so.
    """

    def __init__(
        self,
        content: Path | str | bytes,
        *,
        name: str = "",
        max_line_bytes: int = MAX_LINE_BYTES,
        encoding: str = "",
        columns: Sequence[str] = (),
    ) -> None:
        if not isinstance(content, bytes) and is_folder(Path(content)):
            self.sources = [make_source(path, "", max_line_bytes, encoding) for path in data_files(Path(content))]
        else:
            self.sources = [make_source(content, name, max_line_bytes, encoding)]
        self._namings = [triplet_columns(source, columns) for source in self.sources]
        self.lines = self.kept = self.duplicates = 0
        self.reasons: Counter[str] = Counter()
        self.examples: list[Rejected] = []
        """The first rejected rows."""

    @property
    def rejected(self) -> int:
        """Rows that could not be used."""
        return self.reasons.total()

    def __iter__(self) -> Iterator[Triplet]:
        seen, rows = SeenDigests(), self._usable()
        while block := list(islice(rows, _BLOCK_ROWS)):
            is_new = seen.add([_digest(row) for row in block])
            self.duplicates += len(block) - int(is_new.sum())
            for row in compress(block, is_new):
                self.kept += 1
                yield row

    def _usable(self) -> Iterator[Triplet]:
        """Yield the triplets, counting what is rejected."""
        for row in self.outcomes():
            if isinstance(row, Rejected):
                self.reasons[row.reason] += 1
                if len(self.examples) < LISTED_ROWS:
                    self.examples.append(row)
            else:
                yield row

    def outcomes(self) -> Iterator[Triplet | Rejected]:
        """Yield the triplet or the rejection of each row, duplicates included."""
        for source, names in zip(self.sources, self._namings, strict=True):
            for row in read_rows(source, names, lists=names, outcomes=outcome_columns(source)):
                if isinstance(row, Rejected):
                    self.lines += 1
                    yield row
                    continue
                premise, positive, *hard_negatives = (row.cells[name] for name in names)
                for hard_negative in hard_negatives:
                    self.lines += 1
                    texts = (premise, positive, hard_negative)
                    fault = row.failed or _fault(texts)
                    yield Rejected.of(row.line, fault, " | ".join(texts)) if fault else Triplet(*texts)


def read_triplets(
    content: Path | str | bytes,
    *,
    name: str = "",
    max_line_bytes: int = MAX_LINE_BYTES,
    encoding: str = "",
    columns: Sequence[str] = (),
) -> TripletFile:
    """Read all triplets of a csv, tsv, JSON, parquet or arrow file or a datasets folder; see TripletReading."""
    reading = TripletReading(content, name=name, max_line_bytes=max_line_bytes, encoding=encoding, columns=columns)
    triplets: dict[bytes, Triplet] = {}
    rejected: list[Rejected] = []
    for row in reading.outcomes():
        if isinstance(row, Rejected):
            rejected.append(row)
        else:
            triplets.setdefault(_digest(row), row)
    return TripletFile(
        list(triplets.values()), rejected, reading.lines - len(rejected) - len(triplets), reading.lines
    )


def write_triplets(path: Path, triplets: Iterable[Triplet], *, form: str = "") -> int:
    """Write triplets to a file and return how many; a reader never sees half a file.

    The ending says the container: .csv, .jsonl, .json (one array), .parquet or .xlsx; csv and JSON may be packed
    (.gz, .zst). `form`, one of FORMS, says whose names the columns have. Raises InputError for another ending or a
    form that it cannot hold, and StorageError when the disk is full or the folder cannot be written.
    """
    endings = [ending.lower() for ending in PurePath(path).suffixes]
    packed = endings.pop() if endings and endings[-1] in EXPORT_PACKED else ""
    kind = endings[-1] if endings else ""
    if kind not in EXPORT_KINDS or (packed and kind in (".parquet", ".xlsx")):
        raise InputError(
            f"{path.name} names no export format; end the name with one of {', '.join(EXPORT_KINDS)}, csv and JSON "
            f"also with {' or '.join(EXPORT_PACKED)} behind it."
        )
    write = _writer(kind, form)
    try:
        with whole_file(path) as stream, _packing(stream, packed) as target:
            count = write(target, _sides(triplets))
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(f"{path} cannot be written ({reason}); free space or choose another folder.") from error
    return count


Sides = Iterable[tuple[str, str, str]]


def _writer(kind: str, form: str) -> Callable[[IO[bytes], Sides], int]:
    if form not in FORMS:
        raise InputError(f"There is no form {form!r}; choose one of {', '.join(filter(None, FORMS))}.")
    if kind == ".csv" and form not in ("", "simcse"):
        raise InputError("A csv file has SimCSE's columns, which mark formulas; choose .jsonl, .parquet or .xlsx.")
    if form in ("flagembedding", "argilla") and kind not in (".jsonl", ".json"):
        raise InputError(f"The form {form} is JSON: end the name with .jsonl or .json.")
    columns = FORMS[form]
    if kind == ".csv":
        return _write_csv
    if kind == ".xlsx":
        return lambda stream, sides: write_xlsx(stream, columns, sides)
    if kind == ".parquet":
        return lambda stream, sides: _write_parquet(stream, sides, columns)
    return lambda stream, sides: _write_json(stream, (_record(sides, form) for sides in sides), kind == ".json")


def _record(sides: tuple[str, str, str], form: str) -> dict[str, Any]:
    """Return a triplet as the JSON object of a form."""
    premise, positive, hard_negative = sides
    if form == "flagembedding":
        return {"query": premise, "pos": [positive], "neg": [hard_negative]}
    named = dict(zip(FORMS[form], sides, strict=True))
    if form == "argilla":  # what Argilla's own to_json writes of a record
        made = _digest(Triplet(*sides)).hex()
        return {"id": made, "fields": named, "metadata": {}, "suggestions": {}, "responses": {}, "vectors": {}}
    return named


class _KeptOpen:
    """A stream that Arrow may write to and close, which stays open for whoever opened it."""

    closed = False

    def __init__(self, stream: IO[bytes]) -> None:
        self.write, self.flush = stream.write, stream.flush

    def close(self) -> None:
        """Close nothing."""


@contextmanager
def _packing(stream: IO[bytes], packed: str) -> Iterator[IO[bytes]]:
    if packed == ".gz":
        with gzip.GzipFile("", fileobj=stream, mode="wb", mtime=0) as target:  # the same rows are the same bytes
            yield cast(IO[bytes], target)
    elif packed == ".zst":
        with pa.CompressedOutputStream(_KeptOpen(stream), "zstd") as target:
            yield target
    else:
        yield stream


def _digest(triplet: Triplet) -> bytes:
    sides = (triplet.premise, triplet.positive, triplet.hard_negative)
    encoded = [normalize("NFC", side).encode() for side in sides]
    parts = b"".join(part for side in encoded for part in (len(side).to_bytes(4, "little"), side))
    return blake2b(parts, digest_size=16).digest()


def triplet_columns(source: Source, columns: Sequence[str] = ()) -> Sequence[str]:
    """Return the columns of premise, positive and each hard negative: those that are given, or by their names.

    Raises InputError where there are none.
    """
    offered = column_names(source)
    has = ", ".join(offered[:30]) or "none"
    if columns:
        if len(columns) < 3 or (missing := [name for name in columns if name not in offered]):
            what = f"no column {missing[0]}" if len(columns) >= 3 else "three sides in every triplet"
            raise InputError(
                f"{source.name} has {what}; name the columns of premise, positive and hard negative among its "
                f"columns: {has}."
            )
        return columns
    by_name = {"".join(filter(str.isalnum, column.casefold())): column for column in reversed(offered)}
    found = [next((by_name[name] for name in names if name in by_name), None) for names in _SIDE_NAMES]
    premise, positive, hard_negative = found
    numbered = {int(match[1]): by_name[name] for name in by_name if (match := _NUMBERED.fullmatch(name))}
    hard_negatives = [*([hard_negative] if hard_negative else []), *(numbered[n] for n in sorted(numbered))]
    if premise and positive and hard_negatives:
        return premise, positive, *hard_negatives
    if premise and positive:
        raise InputError(
            f"{source.name} holds no triplets (columns: {has}): it has pairs without a hard negative. Import its "
            f"column {premise} as premises and generate from them, or add a column hard_neg."
        )
    wanted = " or ".join(", ".join(names) for names in (EXPORT_COLUMNS, RECORD_COLUMNS))
    raise InputError(
        f"{source.name} holds no triplets (columns: {has}); rename its columns to {wanted}, or say which column "
        "holds which side (--columns PREMISE,POSITIVE,HARD_NEGATIVE)."
    )


def _fault(texts: Sequence[str]) -> str:
    faults = (
        (name, text_fault(text, max_chars=MAX_TEXT_CHARS)) for name, text in zip(RECORD_COLUMNS, texts, strict=True)
    )
    return next((f"{name}: {fault}" for name, fault in faults if fault), "")


def _sides(triplets: Iterable[Triplet]) -> Iterator[tuple[str, str, str]]:
    return ((triplet.premise, triplet.positive, triplet.hard_negative) for triplet in triplets)


def _write_csv(stream: IO[bytes], sides: Sides) -> int:
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow(EXPORT_COLUMNS)
    count = 0
    for count, row in enumerate(sides, start=1):  # noqa: B007  (the count is the answer)
        writer.writerow([formula_safe(side) for side in row])
    text.detach()
    return count


def _write_json(stream: IO[bytes], records: Iterable[dict[str, Any]], as_array: bool) -> int:
    count = 0
    for count, record in enumerate(records, start=1):
        before = (b"[\n" if count == 1 else b",\n") if as_array else b""
        stream.write(before + json.dumps(record, ensure_ascii=False).encode() + (b"" if as_array else b"\n"))
    if as_array:
        stream.write(b"\n]\n" if count else b"[]\n")
    return count


def _write_parquet(stream: IO[bytes], sides: Sides, names: Sequence[str]) -> int:
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.string()) for name in names])
    rows, count = iter(sides), 0
    with pq.ParquetWriter(stream, schema) as writer:
        while block := list(islice(rows, _BLOCK_ROWS)):
            columns = [pa.array(column, pa.string()) for column in zip(*block, strict=True)]
            writer.write_table(pa.table(columns, schema=schema))
            count += len(block)
    return count
