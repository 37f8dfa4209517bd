"""A datasets folder: what `datasets.load_dataset` loads, Parquet files with a card that says where they come from."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from huggingface_hub import DatasetCardData

from pipeline.durable import whole_folder
from pipeline.exchange import RECORD_COLUMNS, write_triplets
from pipeline.files.cells import escape_markdown
from pipeline.records import InputError, StorageError, Triplet

_ROWS_A_FILE = 500_000
_CARD = """# {heading}

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
    licence: str = ""
    """As hubs name it, such as cc-by-4.0; empty if nobody has said so."""

    def text(self, rows: int) -> str:
        """Return the README of a set with this many rows."""
        title = " ".join(self.title.split()) or "Triplets"
        front = DatasetCardData(
            pretty_name=title,
            license=self.licence or None,
            task_categories=["sentence-similarity"],
            tags=["sentence-embeddings", "triplets"],
            configs=[{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*.parquet"}]}],
            dataset_info={
                "features": [{"name": name, "dtype": "string"} for name in RECORD_COLUMNS],
                "splits": [{"name": "train", "num_examples": rows}],
            },
        )
        facts = "".join(f"\n## {heading}\n\n{_table(table)}" for heading, table in self.facts.items() if table)
        return f"---\n{front.to_yaml()}\n---\n" + _CARD.format(heading=escape_markdown(title), rows=rows, facts=facts)


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
    lines = [f"| {escape_markdown(name)} | {escape_markdown(value)} |" for name, value in rows]
    return "\n".join(["| | |", "|---|---|", *lines]) + "\n"
