"""Own pairs: every row is used or rejected with a reason, and what is written reads back as a task."""

import pytest

from pipeline.errors import InputError
from pipeline.evaluation.own_pairs import guess_columns, read_pairs, write_task
from pipeline.evaluation.sts import read_task

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
        (6, "score is not a number"),
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
        (CSV, "a.tsv", "column"),
    ],
)
def test_files_that_cannot_be_used_say_why(content, name, said):
    with pytest.raises(InputError, match=said):
        read_pairs(content, name=name, first="Text1", second="text2", score="Rating")


def test_columns_must_differ_and_unknown_names_are_not_guessed():
    with pytest.raises(InputError, match="three different"):
        read_pairs(CSV, name="mine.csv", first="Text1", second="Text1", score="Rating")
    assert guess_columns(b"a,b,c\n1,2,3\n", "mine.csv") == (None, None, None)
