"""Retrieval against measures worked out by hand and against trec_eval's definitions, and BEIR's layout."""

import json
import math

import numpy as np
import pytest

from pipeline.evaluation.retrieval import RetrievalTask, evaluate_retrieval, find_retrieval, read_retrieval
from pipeline.records import InputError

CORPUS = {"d1": "east", "d2": "north east", "d3": "north", "d4": "west"}
ANGLES = {"east": 0, "north east": 40, "north": 90, "west": 180, "nearly east": 10, "nearly north": 80}


class Compass:
    """Encodes a known word as the unit vector of its direction."""

    def encode_query(self, texts, **_):
        angles = np.radians([ANGLES[text] for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    encode_document = encode_query


def beir(folder, qrels="query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td3\t2\nq2\td2\t1\nq2\td4\t0\n", title=""):
    (folder / "qrels").mkdir(parents=True)
    documents = [{"_id": key, "title": title, "text": text} for key, text in CORPUS.items()]
    queries = [
        {"_id": "q1", "text": "nearly east"},
        {"_id": "q2", "text": "nearly north"},
        {"_id": "q3", "text": "x"},
    ]
    for name, rows in (("corpus", documents), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (folder / "qrels" / "test.tsv").write_text(qrels, encoding="utf-8")
    return folder


def test_measures_by_hand(tmp_path):
    """q1 ranks d1, d2, d3, d4 and wants d1, d3; q2 ranks d3, d2, d1, d4 and wants d2."""
    task = read_retrieval("compass", beir(tmp_path / "compass"))
    compass = Compass()
    result = evaluate_retrieval(task, compass)
    score = result.score
    ideal = 2 + 1 / math.log2(3)  # d3 has grade 2, d1 grade 1
    first, second = (1 + 2 / math.log2(4)) / ideal, 1 / math.log2(3)
    assert score.ndcg_at_10 == pytest.approx((first + second) / 2)
    assert score.mrr_at_10 == pytest.approx((1 + 1 / 2) / 2)
    assert score.recall_at_10 == pytest.approx(1)
    assert score.map_at_100 == pytest.approx(((1 + 2 / 3) / 2 + 1 / 2) / 2)
    assert (score.queries, score.documents) == (2, 4)
    by_query = {item.query_id: item for item in result.queries}
    assert by_query["q1"].found == ("d1", "d2", "d3", "d4") and by_query["q1"].first_rank == 1
    assert by_query["q2"].first_rank == 2
    assert [by_query[key].ndcg_at_10 for key in ("q1", "q2")] == pytest.approx([first, second])


def test_titles_come_before_texts_and_queries_without_answers_are_left_out(tmp_path):
    task = read_retrieval("t", beir(tmp_path / "t", title="A title"))
    assert task.corpus["d2"] == "A title north east"
    assert list(task.queries) == ["q1", "q2"]
    assert task.relevant == {"q1": {"d1": 1, "d3": 2}, "q2": {"d2": 1}}


def test_one_task_or_a_folder_of_tasks_is_found(tmp_path):
    beir(tmp_path / "b")
    beir(tmp_path / "a")
    (tmp_path / "notes").mkdir()
    assert list(find_retrieval(tmp_path)) == ["a", "b"]
    assert list(find_retrieval(tmp_path / "a")) == ["a"]


@pytest.mark.parametrize(
    ("qrels", "told"),
    [
        ("query-id\tcorpus-id\tscore\nq1\td1\tmuch\n", "line 2"),
        ("q1\td1\t1\nq9\td1\t1\n", "'q9'"),
        ("q1\td1\t0\n", "no relevant document"),
        ("x\nq1 d1 1\n", "line 2"),
    ],
)
def test_bad_qrels_are_refused_in_one_sentence(tmp_path, qrels, told):
    folder = beir(tmp_path / "t", qrels=qrels)
    with pytest.raises(InputError, match=told):
        read_retrieval("t", folder)


def test_a_double_id_a_broken_line_and_an_absent_folder_are_named(tmp_path):
    folder = beir(tmp_path / "t")
    (folder / "corpus.jsonl").write_text('{"_id": "d1", "text": "a"}\n{"_id": "d1", "text": "b"}\n')
    with pytest.raises(InputError, match=r"corpus\.jsonl line 2"):
        read_retrieval("t", folder)
    (folder / "corpus.jsonl").write_text('{"_id": "d1", "text": "a"}\n{"_id": \n')
    with pytest.raises(InputError, match=r"corpus\.jsonl line 2"):
        read_retrieval("t", folder)
    with pytest.raises(InputError, match="does not exist"):
        find_retrieval(tmp_path / "absent")
    with pytest.raises(InputError, match="holds no retrieval task"):
        find_retrieval(folder / "qrels")


class Encoding:
    """An encoder whose vectors are a table's."""

    def __init__(self, table):
        self.table = table

    def encode_query(self, texts, **_):
        return np.array([self.table[text] for text in texts], dtype=np.float32)

    encode_document = encode_query


def scored(queries, corpus, relevant):
    """Evaluate queries and documents given as id -> vector; a text is its id with a mark for its side."""
    table = {f"q:{key}": v for key, v in queries.items()} | {f"d:{key}": v for key, v in corpus.items()}
    task = RetrievalTask(
        "t", "test", {key: f"d:{key}" for key in corpus}, {key: f"q:{key}" for key in queries}, relevant
    )
    return evaluate_retrieval(task, Encoding(table))


def trec_eval(run, qrels):
    """ndcg_cut_10, recip_rank of the first ten, recall_10 and map_cut_100 of one query, as trec_eval defines them.

    Its ranking: by score, and by document id, both descending (form_res_rels.c); gains are the grades.
    """
    order = sorted(run, key=lambda document: (run[document], document), reverse=True)
    levels = np.array([max(qrels.get(document, 0), 0) for document in order], dtype=float)
    ideal = np.sort([grade for grade in qrels.values() if grade > 0])[::-1]
    discount = np.log2(np.arange(2, 12))

    def dcg(gains):
        return float((gains[:10] / discount[: len(gains[:10])]).sum())

    hits = (levels > 0)[:100]
    ranks = np.arange(1, len(hits) + 1)
    total = len(ideal)
    if not total:
        return 0.0, 0.0, 0.0, 0.0
    first = np.flatnonzero(hits[:10])
    precision = np.cumsum(hits) / ranks
    return (
        dcg(levels) / dcg(ideal),
        1 / (first[0] + 1) if len(first) else 0.0,
        hits[:10].sum() / total,
        float((precision * hits).sum() / total),
    )


def random_case(seed):
    """Scores with many ties (a few whole-numbered directions), grades -1 to 3, some documents not in the corpus."""
    generator = np.random.default_rng(seed)
    documents = int(generator.integers(3, 400))
    names = generator.permutation([f"doc{n}" for n in range(documents)]).tolist()
    directions = np.eye(12)[generator.integers(0, 12, size=documents)]
    corpus = dict(zip(names, directions, strict=True))
    queries = {f"q{n}": generator.integers(0, 4, size=12).astype(float) for n in range(8)}
    judged = [*names, "absent1", "absent2"]
    qrels = {
        query: {judged[place]: int(generator.integers(-1, 4)) for place in generator.choice(len(judged), 3 + n)}
        for n, query in enumerate(queries)
        if len(judged) > 3 + n
    }
    return {key: queries[key] for key in qrels}, corpus, qrels


@pytest.mark.parametrize("seed", range(25))
def test_equals_trec_eval_on_random_cases_with_ties_grades_and_documents_not_there(seed):
    queries, corpus, qrels = random_case(seed)
    relevant = {query: {key: grade for key, grade in found.items() if grade > 0} for query, found in qrels.items()}
    result = scored(queries, corpus, relevant)
    runs = {
        query: {document: float(np.dot(vector, corpus[document])) for document in corpus}
        for query, vector in queries.items()
    }
    wanted = {query: trec_eval(runs[query], qrels[query]) for query in queries}
    for item in result.queries:
        assert item.ndcg_at_10 == pytest.approx(wanted[item.query_id][0], abs=1e-12)
    score = result.score
    found = (score.ndcg_at_10, score.mrr_at_10, score.recall_at_10, score.map_at_100)
    assert found == pytest.approx(np.mean(list(wanted.values()), axis=0).tolist(), abs=1e-12)


def test_equals_pytrec_eval_on_random_cases_without_the_querys_own_documents():
    """pytrec_eval is trec_eval itself, as BEIR calls it; documents with the query's id are taken out before."""
    pytrec_eval = pytest.importorskip("pytrec_eval", reason="needs pytrec-eval-terrier of tests/requirements.txt")
    measures = {"ndcg_cut.10", "recall.10", "map_cut.100"}
    for seed in range(25):
        queries, corpus, qrels = random_case(seed)
        for query, found in qrels.items():
            corpus[query] = queries[query]  # the query's own text, above everything else
            assert query not in found
        relevant = {query: {key: max(grade, 0) for key, grade in found.items()} for query, found in qrels.items()}
        wanted = {query: {key: grade for key, grade in found.items() if grade} for query, found in relevant.items()}
        runs = {
            query: {key: float(np.dot(vector, corpus[key])) for key in corpus if key != query}
            for query, vector in queries.items()
        }
        found = pytrec_eval.RelevanceEvaluator(relevant, measures).evaluate(runs)
        result = scored(queries, corpus, wanted)
        for item in result.queries:
            assert item.ndcg_at_10 == pytest.approx(found[item.query_id]["ndcg_cut_10"], abs=1e-6), seed
        means = [np.mean([found[query][name] for query in queries]) for name in ("recall_10", "map_cut_100")]
        assert [result.score.recall_at_10, result.score.map_at_100] == pytest.approx(means, abs=1e-6), seed


def test_a_querys_own_text_in_the_corpus_is_left_out_as_in_arguana_and_quora():
    corpus = {"7": [1, 0], "8": [0.9, math.sqrt(0.19)], "9": [0, 1]}
    result = scored({"7": [1, 0]}, corpus, {"7": {"8": 1}})
    assert result.score.ndcg_at_10 == 1.0  # with its own text first it would be 0.63
    assert result.queries[0].found == ("8", "9")


def test_a_document_of_the_querys_id_that_the_qrels_want_is_kept():
    """Ids that only happen to be alike: queries and documents both counted from 1."""
    corpus = {"1": [1, 0], "2": [0, 1]}
    assert scored({"1": [1, 0]}, corpus, {"1": {"1": 1}}).score.ndcg_at_10 == 1.0


def test_grades_weigh_as_in_nfcorpus():
    """The document of grade 1 above that of grade 2: (1 + 2 / log2 3) / (2 + 1 / log2 3)."""
    corpus = {"a": [1, 0], "b": [0.9, math.sqrt(0.19)]}
    result = scored({"q": [1, 0]}, corpus, {"q": {"a": 1, "b": 2}})
    assert result.score.ndcg_at_10 == pytest.approx(0.8597, abs=1e-4)


def test_a_query_judged_without_a_relevant_document_counts_as_zero(tmp_path):
    qrels = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td4\t0\n"
    task = read_retrieval("t", beir(tmp_path / "t", qrels=qrels))
    assert task.relevant == {"q1": {"d1": 1}, "q2": {}}
    assert evaluate_retrieval(task, Compass()).score.ndcg_at_10 == 0.5
