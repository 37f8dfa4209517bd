"""Own pairs: every row is used or rejected with a reason, and what is written reads back as a task."""

import datetime
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.evaluation.own_pairs import guess_columns, pair_columns, read_pairs, write_task
from pipeline.evaluation.sts import read_task
from pipeline.records import InputError

CSV = b"""Text1,text2,Rating,other
"A dog, running",A  cat,4.5,x
Rain,Snow,"1,5",y
Rain,,3,z
Rain,Sun,high,z
Rain,Sun,nan,z
Rain,Sun
"""


def test_rows_are_used_or_rejected_and_read_back(tmp_path):
    assert guess_columns(CSV, "mine.csv") == ("Text1", "text2", "Rating")
    read = read_pairs(CSV, name="mine.csv", first="Text1", second="text2", score="Rating")
    assert [(pair.first, pair.second, pair.score) for pair in read.pairs] == [
        ("A dog, running", "A cat", 4.5),
        ("Rain", "Snow", 1.5),
    ]
    assert [(row.line, row.reason) for row in read.rejected] == [
        (4, "empty"),
        (5, "score is not a number"),
        (6, "missing field"),
        (7, "wrong number of columns"),
    ]
    path = tmp_path / "mine.tsv"
    write_task(read.pairs, path)
    task = read_task("mine", path)
    assert task.sentence1 == ["A dog, running", "Rain"] and task.gold.tolist() == [4.5, 1.5]


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (CSV, "mine.txt", "not a table"),
        (b"Text1,text2,Rating\na,b,c\n", "a.csv", "0 usable"),
    ],
)
def test_files_that_cannot_be_used_say_why(content, name, said):
    with pytest.raises(InputError, match=said):
        read_pairs(content, name=name, first="Text1", second="text2", score="Rating")


def test_columns_must_differ_and_unknown_names_are_not_guessed():
    with pytest.raises(InputError, match="three different"):
        read_pairs(CSV, name="mine.csv", first="Text1", second="Text1", score="Rating")
    assert guess_columns(b"a,b,c\n1,2,3\n", "mine.csv") == (None, None, None)


ROWS = [("Ein Hund läuft", "A dog runs", 4), ("Rain", "Snow", 1.5), ("Rain", "Sun", None), ("Rain", "Sea", 2.25)]


def as_jsonl(rows) -> bytes:
    lines = [json.dumps({"id": n, "a": a, "b": b, "gold": gold}) for n, (a, b, gold) in enumerate(rows)]
    return ("\n".join([*lines, '{"a": 3, "b": "x", "gold": 1}', '{"a": "p", "b": "q", "gold": true}'])).encode()


def as_parquet(rows, kind) -> bytes:
    first, second, gold = (list(column) for column in zip(*rows, strict=True))
    table = pa.table({"a": first, "b": second, "gold": pa.array(gold, type=pa.float64()).cast(kind)})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def test_jsonl_numbers_are_scores_and_nothing_else_is():
    read = read_pairs(as_jsonl(ROWS), name="mine.jsonl", first="a", second="b", score="gold")
    assert [pair.score for pair in read.pairs] == [4.0, 1.5, 2.25]
    assert [(row.line, row.reason) for row in read.rejected] == [
        (3, "missing field"),
        (5, "not text"),
        (6, "not text"),
    ]


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32(), pa.decimal128(9, 2), pa.string()])
def test_parquet_scores_of_any_type(kind):
    read = read_pairs(as_parquet(ROWS, kind), name="mine.parquet", first="a", second="b", score="gold")
    assert [(pair.first, pair.score) for pair in read.pairs] == [
        ("Ein Hund läuft", 4.0),
        ("Rain", 1.5),
        ("Rain", 2.25),
    ]
    assert [(row.line, row.reason) for row in read.rejected] == [(3, "missing field")]


def test_parquet_integers_are_scores_and_a_number_is_no_sentence():
    content = as_parquet([("a b", "c d", 4), ("e f", "g h", 1)], pa.int8())
    assert [p.score for p in read_pairs(content, name="n.pq", first="a", second="b", score="gold").pairs] == [
        4.0,
        1.0,
    ]
    with pytest.raises(InputError, match="0 usable"):
        read_pairs(content, name="n.pq", first="gold", second="b", score="a")


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (b"PAR1 cut short", "bad.parquet", "not a readable parquet file"),
        (b"not json\n", "bad.jsonl", "0 columns"),
        (b'{"a": "x", "b": "y"}\n', "two.jsonl", "2 columns"),
        (b"\x00\x01\x02" * 99, "bad.csv", "binary"),
        (b"", "empty.jsonl", "empty"),
        (b"text\n", "bad.txt", "not a table"),
    ],
)
def test_columns_of_bad_files_are_refused_in_one_sentence(content, name, said):
    with pytest.raises(InputError, match=said):
        pair_columns(content, name)


@pytest.mark.parametrize("name", ["mine.csv", "mine.jsonl", "mine.parquet"])
def test_thousands_and_decimals_are_read_alike_in_every_format(name):
    """1,000 beside 1,000.5 is a thousand; before, it was 1 and its neighbour was rejected."""
    table = pa.table({"a": list("pqr"), "b": list("stu"), "gold": ["1,000", "1,000.5", "12.25"]})
    sink = io.BytesIO()
    if name.endswith(".csv"):
        sink.write(b'a,b,gold\np,s,"1,000"\nq,t,"1,000.5"\nr,u,12.25\n')
    elif name.endswith(".jsonl"):
        sink.write("\n".join(json.dumps(row) for row in table.to_pylist()).encode())
    else:
        pq.write_table(table, sink)
    read = read_pairs(sink.getvalue(), name=name, first="a", second="b", score="gold")
    assert [pair.score for pair in read.pairs] == [1000.0, 1000.5, 12.25]


def test_parquet_cells_that_are_no_number_are_rejected_and_not_zero():
    moments = pa.array([datetime.date(2026, 1, day) for day in (1, 2, 3)])
    for odd in (moments, pa.array([[1.0], [2.0], [3.0]]), pa.array([{"x": 1}] * 3), pa.array([True, False, True])):
        sink = io.BytesIO()
        pq.write_table(pa.table({"a": list("pqr"), "b": list("stu"), "gold": odd}), sink)
        with pytest.raises(InputError, match="0 usable"):
            read_pairs(sink.getvalue(), name="n.parquet", first="a", second="b", score="gold")
