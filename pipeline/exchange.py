"""Read and write triplets as csv, jsonl and parquet, the formats that other tools share."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from pathlib import Path, PurePath
from typing import IO, Any
from unicodedata import normalize

import pyarrow as pa

from pipeline.durable import whole_file, whole_folder
from pipeline.files.cells import EXPORT_COLUMNS, formula_safe
from pipeline.files.parquet import data_files
from pipeline.files.rows import LISTED_ROWS, Rejected, column_names, outcome_columns, read_rows, text_fault
from pipeline.files.source import MAX_LINE_BYTES, Source, make_source
from pipeline.records import InputError, StorageError, Triplet

RECORD_COLUMNS = ("premise", "positive", "hard_negative")

EXPORT_KINDS = (".csv", ".jsonl", ".parquet")
MAX_TEXT_CHARS = 10_000
_BLOCK_ROWS = 20_000

_SIDE_NAMES = (
    ("premise", "sent0", "anchor", "query", "question"),
    ("positive", "sent1", "pos"),
    ("hardnegative", "hardneg", "negative", "neg"),
)
"""Usual column names of the three sides, ignoring case, spaces and punctuation; earlier names take precedence."""


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
    triplet: each text of the longer list occurs once, and the shorter list repeats. Raises InputError if the whole
    file cannot be used.
    """

    def __init__(
        self,
        content: Path | str | bytes,
        *,
        name: str = "",
        max_line_bytes: int = MAX_LINE_BYTES,
        encoding: str = "",
    ) -> None:
        if not isinstance(content, bytes) and Path(content).is_dir():
            self.sources = [make_source(path, "", max_line_bytes, encoding) for path in data_files(Path(content))]
        else:
            self.sources = [make_source(content, name, max_line_bytes, encoding)]
        self._namings = [_naming(source) for source in self.sources]
        self.lines = self.kept = self.duplicates = 0
        self.reasons: Counter[str] = Counter()
        self.examples: list[Rejected] = []
        """The first rejected rows."""

    @property
    def rejected(self) -> int:
        """Rows that could not be used."""
        return self.reasons.total()

    def __iter__(self) -> Iterator[Triplet]:
        seen: set[bytes] = set()
        for row in self.outcomes():
            if isinstance(row, Rejected):
                self.reasons[row.reason] += 1
                if len(self.examples) < LISTED_ROWS:
                    self.examples.append(row)
                continue
            digest = _digest(row)
            if digest in seen:
                self.duplicates += 1
                continue
            seen.add(digest)
            self.kept += 1
            yield row

    def outcomes(self) -> Iterator[Triplet | Rejected]:
        """Yield the triplet or the rejection of each row, duplicates included."""
        for source, names in zip(self.sources, self._namings, strict=True):
            for row in read_rows(source, names, lists=names, outcomes=outcome_columns(source)):
                self.lines += 1
                if isinstance(row, Rejected):
                    yield row
                    continue
                texts = [row.cells[name] for name in names]
                fault = row.failed or _fault(texts)
                yield Rejected.of(row.line, fault, " | ".join(texts)) if fault else Triplet(*texts)


def read_triplets(
    content: Path | str | bytes, *, name: str = "", max_line_bytes: int = MAX_LINE_BYTES, encoding: str = ""
) -> TripletFile:
    """Read all triplets of a csv, tsv, JSON, parquet or arrow file or a datasets folder; see TripletReading."""
    reading = TripletReading(content, name=name, max_line_bytes=max_line_bytes, encoding=encoding)
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


def write_triplets(path: Path, triplets: Iterable[Triplet]) -> int:
    """Write triplets to a .csv, .jsonl or .parquet file and return how many; a reader never sees half a file.

    Raises InputError for another ending and StorageError when the disk is full or the folder cannot be written.
    """
    suffix = PurePath(path).suffix.lower()
    if suffix not in EXPORT_KINDS:
        raise InputError(f"{path.name} names no export format; end the name with one of {', '.join(EXPORT_KINDS)}.")
    write = {".csv": _write_csv, ".jsonl": _write_jsonl, ".parquet": _write_parquet}[suffix]
    try:
        with whole_file(path) as stream:
            count = write(stream, triplets)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(f"{path} cannot be written ({reason}); free space or choose another folder.") from error
    return count


def _digest(triplet: Triplet) -> bytes:
    digest = blake2b(digest_size=16)
    for side in (triplet.premise, triplet.positive, triplet.hard_negative):
        encoded = normalize("NFC", side).encode()
        digest.update(len(encoded).to_bytes(4, "little"))
        digest.update(encoded)
    return digest.digest()


def _naming(source: Source) -> Sequence[str]:
    offered = column_names(source)
    by_name = {"".join(filter(str.isalnum, column.casefold())): column for column in reversed(offered)}
    found = [next((by_name[name] for name in names if name in by_name), None) for names in _SIDE_NAMES]
    premise, positive, hard_negative = found
    if premise and positive and hard_negative:
        return premise, positive, hard_negative
    has = ", ".join(offered[:30]) or "none"
    if premise and positive:
        raise InputError(
            f"{source.name} holds no triplets (columns: {has}): it has pairs without a hard negative. Import its "
            f"column {premise} as premises and generate from them, or add a column hard_neg."
        )
    wanted = " or ".join(", ".join(names) for names in (EXPORT_COLUMNS, RECORD_COLUMNS))
    raise InputError(f"{source.name} holds no triplets (columns: {has}); rename its columns to {wanted}.")


def _fault(texts: Sequence[str]) -> str:
    faults = (
        (name, text_fault(text, max_chars=MAX_TEXT_CHARS)) for name, text in zip(RECORD_COLUMNS, texts, strict=True)
    )
    return next((f"{name}: {fault}" for name, fault in faults if fault), "")


def _sides(triplets: Iterable[Triplet]) -> Iterator[tuple[str, str, str]]:
    return ((triplet.premise, triplet.positive, triplet.hard_negative) for triplet in triplets)


def _write_csv(stream: IO[bytes], triplets: Iterable[Triplet]) -> int:
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow(EXPORT_COLUMNS)
    count = 0
    for count, sides in enumerate(_sides(triplets), start=1):  # noqa: B007  (the count is the answer)
        writer.writerow([formula_safe(side) for side in sides])
    text.detach()
    return count


def _write_jsonl(stream: IO[bytes], triplets: Iterable[Triplet]) -> int:
    count = 0
    for count, sides in enumerate(_sides(triplets), start=1):  # noqa: B007
        stream.write(json.dumps(dict(zip(RECORD_COLUMNS, sides, strict=True)), ensure_ascii=False).encode() + b"\n")
    return count


def _write_parquet(stream: IO[bytes], triplets: Iterable[Triplet]) -> int:
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.string()) for name in RECORD_COLUMNS])
    sides, count = _sides(triplets), 0
    with pq.ParquetWriter(stream, schema) as writer:
        while block := list(islice(sides, _BLOCK_ROWS)):
            columns = [pa.array(column, pa.string()) for column in zip(*block, strict=True)]
            writer.write_table(pa.table(columns, schema=schema))
            count += len(block)
    return count


_ROWS_A_FILE = 500_000
_CARD = """---
pretty_name: {title}
task_categories:
- sentence-similarity
tags:
- sentence-embeddings
- triplets
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*.parquet
dataset_info:
  features:
{features}
  splits:
  - name: train
    num_examples: {rows}
---
# {heading}

{rows:,} triplets for training sentence encoders: a premise, a positive that it entails, a hard negative that it
contradicts.

```python
from datasets import load_dataset

triplets = load_dataset("path/of/this/folder", split="train")
```

| column | what it is |
|---|---|
| `premise` | the input sentence |
| `positive` | a sentence that means the same or follows from it |
| `hard_negative` | a sentence close to it in words that contradicts it |
{facts}
## Known limits

The sentences were written by a language model and selected by automatic judges and, where said above, by people.
They may be wrong, biased or copied from the model's training data. Premises keep the licence of their corpus.
Method: MultiCSR, arXiv 2310.10962.
"""


@dataclass(frozen=True, slots=True)
class DatasetCard:
    """Title and facts for the README.md beside the rows."""

    title: str
    facts: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """Heading -> rows of a two-column table."""

    def text(self, rows: int) -> str:
        """Return the README of a set with this many rows."""
        features = "\n".join(f"  - name: {name}\n    dtype: string" for name in RECORD_COLUMNS)
        title = " ".join(self.title.split()) or "Triplets"
        facts = "".join(f"\n## {heading}\n\n{_table(table)}" for heading, table in self.facts.items() if table)
        quoted = '"' + title.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return _CARD.format(title=quoted, heading=_cell(title), features=features, rows=rows, facts=facts)


def write_dataset(folder: Path, triplets: Iterable[Triplet], card: DatasetCard) -> int:
    """Write the folder and return the number of rows; it appears only when it is complete.

    Raises InputError when something is there already, StorageError when it cannot be written.
    """
    if folder.exists():
        raise InputError(f"{folder} exists already: name a folder that does not.")
    try:
        with whole_folder(folder) as draft:
            (draft / "data").mkdir()
            rows = _write_parts(draft / "data", iter(triplets))
            (draft / "README.md").write_text(card.text(rows), encoding="utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(f"{folder} cannot be written ({reason}); free space or choose another folder.") from error
    return rows


def _write_parts(data: Path, triplets: Iterator[Triplet]) -> int:
    """Write one part after another, then rename them: the names contain the number of parts."""
    rows, parts = 0, 0
    while not parts or (rows == parts * _ROWS_A_FILE):
        written = write_triplets(data / f"{parts:05d}.parquet", islice(triplets, _ROWS_A_FILE))
        if not written and parts:
            (data / f"{parts:05d}.parquet").unlink()
            break
        rows, parts = rows + written, parts + 1
    for part in range(parts):
        (data / f"{part:05d}.parquet").rename(data / f"train-{part:05d}-of-{parts:05d}.parquet")
    return rows


def _table(rows: list[tuple[str, str]]) -> str:
    lines = [f"| {_cell(name)} | {_cell(value)} |" for name, value in rows]
    return "\n".join(["| | |", "|---|---|", *lines]) + "\n"


def _cell(value: Any) -> str:
    """Escape text written by people: nothing in it is Markdown or HTML."""
    text = " ".join(str(value).split())
    for mark, safe in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "&#124;"), ("`", "&#96;"), ("[", "&#91;")):
        text = text.replace(mark, safe)
    return text
