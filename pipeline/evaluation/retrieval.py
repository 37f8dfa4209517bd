"""Retrieval scored as BEIR does: nDCG at 10 and its companions, the corpus ranked by cosine for every query."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log2
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.files.source import text_lines
from pipeline.records import InputError

_SPLITS = ("test", "dev", "train")
"""The first of these whose qrels exist is read."""


@dataclass(frozen=True, slots=True)
class RetrievalTask:
    """A corpus, queries, and the relevant documents of each query."""

    name: str
    split: str
    corpus: dict[str, str]
    """Document id -> title and text as one string, as BEIR encodes them."""
    queries: dict[str, str]
    """Query id -> text, for the queries in the qrels."""
    relevant: dict[str, dict[str, int]]
    """Query id -> document id -> grade above zero; empty if all grades are zero, and then the query scores 0."""


def find_retrieval(folder: Path) -> dict[str, Path]:
    """Find the retrieval tasks in a folder: the folder itself, else its subfolders, by name.

    Raises InputError if the folder is missing or contains none.
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

    Raises InputError with file and line for a row that is not in BEIR's layout, a duplicate id, a query of the qrels
    that does not exist, and a task without relevant documents. Documents that occur only in the qrels are kept and
    count as missed.
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
    for number, line in enumerate(text_lines(path), start=1):
        if not line.strip():
            continue
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
    for number, line in enumerate(text_lines(path), start=1):
        cells = line.split("\t")
        if not line.strip() or (number == 1 and not cells[-1].strip().lstrip("-").isdigit()):
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


_SHOWN, _DEPTH = 10, 100
"""Ranks considered by nDCG, MRR and recall, and by average precision."""
_BLOCK_SCORES = 50_000_000
"""Scores held in memory at a time."""


@dataclass(frozen=True, slots=True)
class RetrievalScore:
    """How well an encoder finds the relevant documents: fractions, means over the queries."""

    task: str
    queries: int
    documents: int
    ndcg_at_10: float
    mrr_at_10: float
    recall_at_10: float
    map_at_100: float


@dataclass(frozen=True, slots=True)
class QueryResult:
    """What was found for one query."""

    query_id: str
    ndcg_at_10: float
    first_rank: int | None
    """Rank of the first relevant document, from 1; None when none is among the first 100."""
    found: tuple[str, ...]
    """Ids of the first ten documents."""


@dataclass(frozen=True, slots=True)
class RetrievalResult:
    """Score of one task with what a page needs to look into it."""

    score: RetrievalScore
    queries: list[QueryResult]


def evaluate_retrieval(task: RetrievalTask, encoder: Any) -> RetrievalResult:
    """Rank the corpus for every query by cosine and score the first documents as BEIR does.

    A document with the query's own id is left out, as ArguAna and Quora need it, unless the qrels name it relevant.
    `encoder` has sentence-transformers' encode_query and encode_document, which put its prompts before the texts.
    """
    queries_qd, documents_nd = _encoded(task, encoder)
    ids = list(task.corpus)
    found = []
    for query_id, ranked in zip(task.queries, _ranked(queries_qd, documents_nd, ids, _DEPTH + 1), strict=True):
        grades = task.relevant[query_id]
        places = [ids[place] for place in ranked if ids[place] != query_id or query_id in grades]
        found.append(_measured(query_id, places[:_DEPTH], grades))
    means = np.mean([measures for _, measures in found], axis=0).tolist()
    score = RetrievalScore(task.name, len(task.queries), len(ids), *means)
    return RetrievalResult(score, [result for result, _ in found])


def _measured(query_id: str, ids: list[str], grades: dict[str, int]) -> tuple[QueryResult, tuple[float, ...]]:
    """Return what was found and nDCG at 10, MRR at 10, recall at 10, MAP at 100; 0 each without a relevant document.

    As in trec_eval, the gain is the grade itself, discounted by log2(rank + 1), and recall and average precision are
    shares of all relevant documents, in the corpus or not.
    """
    gains = [grades.get(document_id, 0) for document_id in ids]
    ranks = [rank for rank, gain in enumerate(gains, start=1) if gain]
    first = ranks[0] if ranks else None
    relevant = max(len(grades), 1)
    ndcg = _discounted(gains) / (_discounted(sorted(grades.values(), reverse=True)) or 1)
    precisions = [hits / rank for hits, rank in enumerate(ranks, start=1)]
    measures = (
        ndcg,
        1 / first if first is not None and first <= _SHOWN else 0.0,
        sum(rank <= _SHOWN for rank in ranks) / relevant,
        sum(precisions) / relevant,
    )
    return QueryResult(query_id, ndcg, first, tuple(ids[:_SHOWN])), measures


def _discounted(gains: Sequence[int]) -> float:
    """Discounted cumulative gain of the first ten ranks."""
    return sum(gain / log2(rank + 1) for rank, gain in enumerate(gains[:_SHOWN], start=1))


def _ranked(queries_qd: np.ndarray, documents_nd: np.ndarray, ids: list[str], depth: int) -> Iterator[np.ndarray]:
    """Yield the places of the `depth` best documents of every query, int64 (at most depth,), best first.

    Of equal scores the later id comes first, as in trec_eval.
    """
    later_first = np.empty(len(ids), dtype=np.int64)
    later_first[sorted(range(len(ids)), key=ids.__getitem__, reverse=True)] = np.arange(len(ids))
    block = max(1, _BLOCK_SCORES // max(1, len(ids)))
    for start in range(0, len(queries_qd), block):
        for scores_n in queries_qd[start : start + block] @ documents_nd.T:
            # All documents that tie with the last rank are candidates; their ids decide which are included.
            least = np.partition(scores_n, -depth)[-depth] if depth < len(ids) else -np.inf
            places = np.flatnonzero(scores_n >= least)
            yield places[np.lexsort((later_first[places], -scores_n[places]))][:depth]


def _encoded(task: RetrievalTask, encoder: Any) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors of the queries and the documents: float32 (queries, d) and (documents, d)."""
    queries, documents = list(task.queries.values()), list(task.corpus.values())
    options = {"batch_size": 64, "normalize_embeddings": True, "show_progress_bar": False}
    return encoder.encode_query(queries, **options), encoder.encode_document(documents, **options)
