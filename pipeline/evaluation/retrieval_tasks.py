"""Retrieval tasks read from local folders in BEIR's layout: corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import InputError

_SPLITS = ("test", "dev", "train")
"""Which qrels are read where there are several, the first that exists."""


@dataclass(frozen=True, slots=True)
class RetrievalTask:
    """A corpus, queries, and which documents answer each of them."""

    name: str
    split: str
    corpus: dict[str, str]
    """Document id -> title and text in one, as BEIR's own encoders are given them."""
    queries: dict[str, str]
    """Query id -> text, of the queries that the qrels name."""
    relevant: dict[str, dict[str, int]]
    """Query id -> document id -> grade above zero; empty for a query whose every grade is zero, which scores 0."""


def find_retrieval(folder: Path) -> dict[str, Path]:
    """Find the retrieval tasks in a folder: the folder itself, else its subfolders, by name.

    Raises InputError for a folder that is absent or holds none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"The retrieval folder {folder} does not exist; give a folder in BEIR's layout.")
    if _is_task(folder):
        return {folder.resolve().name: folder}
    found = {path.name: path for path in sorted(folder.iterdir()) if path.is_dir() and _is_task(path)}
    if not found:
        raise InputError(
            f"The folder {folder} holds no retrieval task; expected corpus.jsonl, queries.jsonl and qrels/test.tsv."
        )
    return found


def read_retrieval(name: str, folder: Path) -> RetrievalTask:
    """Read one task found by `find_retrieval`.

    Raises InputError, naming file and line, for a row that is not in BEIR's layout, an id that occurs twice, a query
    of the qrels that is not there, and a task without a relevant document. Documents that only the qrels name stay:
    they cannot be found, and count as missed.
    """
    split, qrels = _qrels_file(folder)
    graded: dict[str, dict[str, int]] = {}
    for query_id, document_id, grade in _read_qrels(qrels):
        graded.setdefault(query_id, {})[document_id] = grade
    relevant = {query: {key: grade for key, grade in found.items() if grade > 0} for query, found in graded.items()}
    queries = dict(_read_texts(folder / "queries.jsonl"))
    unknown = [query_id for query_id in relevant if query_id not in queries]
    if unknown:
        raise InputError(f"{qrels} names the query {unknown[0][:60]!r}, which queries.jsonl does not hold.")
    if not any(relevant.values()):
        raise InputError(f"{qrels} names no relevant document; expected a score above 0 somewhere.")
    corpus = dict(_read_texts(folder / "corpus.jsonl"))
    return RetrievalTask(name, split, corpus, {key: queries[key] for key in relevant}, relevant)


def _is_task(folder: Path) -> bool:
    return (
        all((folder / name).is_file() for name in ("corpus.jsonl", "queries.jsonl")) and (folder / "qrels").is_dir()
    )


def _qrels_file(folder: Path) -> tuple[str, Path]:
    for split in _SPLITS:
        path = folder / "qrels" / f"{split}.tsv"
        if path.is_file():
            return split, path
    raise InputError(f"{folder / 'qrels'} holds none of {', '.join(f'{split}.tsv' for split in _SPLITS)}.")


def _read_texts(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (id, title and text) of a file of documents or queries."""
    seen: set[str] = set()
    for number, line in _lines(path):
        try:
            row = json.loads(line)
            key, text = row["_id"], " ".join(f"{row.get('title') or ''} {row['text']}".split())
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f'{path} line {number} is not {{"_id": ..., "text": ...}}.') from error
        if not isinstance(key, str) or key in seen:
            raise InputError(f"{path} line {number}: the _id {key!r:.60} is no text or occurs twice.")
        seen.add(key)
        yield key, text


def _read_qrels(path: Path) -> Iterator[tuple[str, str, int]]:
    for number, line in _lines(path):
        cells = line.split("\t")
        if number == 1 and not cells[-1].strip().lstrip("-").isdigit():
            continue  # the header: query-id, corpus-id, score
        grade = _whole(cells[2]) if len(cells) == 3 else None
        if grade is None:
            raise InputError(f"{path} line {number} is not query-id, corpus-id and a whole score with tabs between.")
        yield cells[0], cells[1], grade


def _whole(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text; save it as UTF-8.") from error
