"""Retrieval against nDCG, MRR, recall and MAP worked out by hand, and the reading of BEIR's layout."""

import json
import math

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.evaluation.retrieval import evaluate_retrieval, treats_texts_alike
from pipeline.evaluation.retrieval_tasks import find_retrieval, read_retrieval

CORPUS = {"d1": "east", "d2": "north east", "d3": "north", "d4": "west"}
ANGLES = {"east": 0, "north east": 40, "north": 90, "west": 180, "nearly east": 10, "nearly north": 80}


class Compass:
    """Encodes a known word as the unit vector of its direction."""

    prompts = None
    default_prompt_name = None

    def __iter__(self):
        return iter(())

    def vectors(self, texts):
        angles = np.radians([ANGLES[text] for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


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
    result = evaluate_retrieval(task, compass, compass.vectors)
    score = result.score
    ideal = 1 + 1 / math.log2(3)
    first, second = (1 + 1 / math.log2(4)) / ideal, 1 / math.log2(3)
    assert score.ndcg_at_10 == pytest.approx((first + second) / 2)
    assert score.mrr_at_10 == pytest.approx((1 + 1 / 2) / 2)
    assert score.recall_at_10 == pytest.approx(1)
    assert score.map_at_100 == pytest.approx(((1 + 2 / 3) / 2 + 1 / 2) / 2)
    assert (score.queries, score.documents) == (2, 4)
    by_query = {item.query_id: item for item in result.queries}
    assert by_query["q1"].found == ("d1", "d2", "d3", "d4") and by_query["q1"].first_rank == 1
    assert by_query["q2"].first_rank == 2
    assert [by_query[key].ndcg_at_10 for key in ("q1", "q2")] == pytest.approx([first, second])


def test_a_router_or_a_default_prompt_is_left_to_the_encoder():
    class Router:
        pass

    class Routed(Compass):
        def __iter__(self):
            return iter([Router()])

    prompted = Compass()
    prompted.default_prompt_name = "query"
    assert treats_texts_alike(Compass())
    assert not treats_texts_alike(Routed())
    assert not treats_texts_alike(prompted)


def test_titles_come_before_texts_and_queries_without_answers_are_left_out(tmp_path):
    task = read_retrieval("t", beir(tmp_path / "t", title="A title"))
    assert task.corpus["d2"] == "A title north east"
    assert list(task.queries) == ["q1", "q2"]
    assert task.relevant == {"q1": {"d1": 1, "d3": 2}, "q2": {"d2": 1}}
    assert task.is_graded


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
