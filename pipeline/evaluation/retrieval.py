"""Retrieval scored as BEIR does: nDCG at 10 and its companions, the corpus ranked by cosine for every query."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log2
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from pipeline.evaluation.retrieval_tasks import RetrievalTask


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


def evaluate_retrieval(
    task: RetrievalTask, encoder: Any, vectors: Callable[[list[str]], Any] | None = None
) -> RetrievalResult:
    """Rank the corpus for every query by cosine and score it with sentence-transformers' evaluator.

    Every grade above zero counts as relevant, so that on a graded task nDCG differs from BEIR's own, which weighs
    grades. A document is ranked for the query of the same id too, which BEIR leaves out. `vectors` answers texts with
    unit vectors computed before; the encoder's prompts for queries and documents are put in front of the texts.
    """
    from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
    from sentence_transformers.util import cos_sim

    evaluator = InformationRetrievalEvaluator(
        queries=dict[str, Any](task.queries),  # typed for pictures and sound as well
        corpus=dict[str, Any](task.corpus),
        relevant_docs={query: set(found) for query, found in task.relevant.items()},
        mrr_at_k=[10],
        ndcg_at_k=[10],
        accuracy_at_k=[10],
        precision_recall_at_k=[10],
        map_at_k=[100],
        score_functions={"cosine": cos_sim},
        batch_size=64,
        write_csv=False,
        write_predictions=True,
    )
    source = _Prompted(encoder, vectors) if vectors is not None else encoder
    # Typed as a flat table of numbers, but it answers function -> measure -> k -> mean over the queries.
    measure = cast("Callable[..., dict[str, dict[str, dict[int, float]]]]", evaluator.compute_all_metrics)
    with TemporaryDirectory() as folder:
        found = measure(source, output_path=folder)["cosine"]
        [ranked] = Path(folder).glob("*_cosine.jsonl")
        queries = [_query_result(task, json.loads(line)) for line in ranked.read_text(encoding="utf-8").splitlines()]
    score = RetrievalScore(
        task=task.name,
        queries=len(task.queries),
        documents=len(task.corpus),
        ndcg_at_10=float(found["ndcg@k"][10]),
        mrr_at_10=float(found["mrr@k"][10]),
        recall_at_10=float(found["recall@k"][10]),
        map_at_100=float(found["map@k"][100]),
    )
    return RetrievalResult(score, queries)


def _query_result(task: RetrievalTask, ranked: dict[str, Any]) -> QueryResult:
    ids = [hit["corpus_id"] for hit in ranked["results"]]
    relevant = task.relevant[ranked["query_id"]]
    places = [rank for rank, document_id in enumerate(ids, start=1) if document_id in relevant]
    first = places[0] if places else None
    return QueryResult(ranked["query_id"], _ndcg(places, len(relevant), k=10), first, tuple(ids[:10]))


def _ndcg(places: Sequence[int], relevant: int, *, k: int) -> float:
    """Normalised discounted gain of relevant documents at these ranks, grades counted alike, in [0, 1]."""
    ideal = sum(1 / log2(rank + 1) for rank in range(1, min(relevant, k) + 1))
    return sum(1 / log2(rank + 1) for rank in places if rank <= k) / ideal


def treats_texts_alike(encoder: Any) -> bool:
    """Whether a text's vector depends on the text and its prompt alone, so that vectors computed before will do.

    A router encodes queries and documents with different modules, and a default prompt would come twice.
    """
    has_router = any(type(module).__name__ == "Router" for module in encoder)
    return not has_router and not getattr(encoder, "default_prompt_name", None)


def prompted_texts(task: RetrievalTask, encoder: Any) -> list[str]:
    """All texts that `evaluate_retrieval` asks for, prompts included: what to compute vectors of beforehand."""
    query, document = _prompt(encoder, "query"), _prompt(encoder, "document")
    return [query + text for text in task.queries.values()] + [document + text for text in task.corpus.values()]


@dataclass(frozen=True, slots=True)
class _Prompted:
    """Stands in for an encoder before the evaluator: answers with kept vectors."""

    encoder: Any
    vectors: Callable[[list[str]], Any]

    def encode_query(self, texts: list[str], **_: Any) -> Any:
        return self._tensor("query", texts)

    def encode_document(self, texts: list[str], **_: Any) -> Any:
        return self._tensor("document", texts)

    def _tensor(self, kind: str, texts: list[str]) -> Any:
        import torch

        prompt = _prompt(self.encoder, kind)
        return torch.from_numpy(self.vectors([prompt + text for text in texts]))


def _prompt(encoder: Any, kind: str) -> str:
    """The encoder's own prompt: the first that it has, as in sentence-transformers' encode_query, encode_document."""
    prompts = getattr(encoder, "prompts", None) or {}
    names = ("query",) if kind == "query" else ("document", "passage", "corpus")
    return next((prompts[name] or "" for name in names if name in prompts), "")
