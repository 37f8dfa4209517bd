"""Reading STS data: both layouts, counts that add up, and one sentence for each thing that is wrong."""

import numpy as np
import pytest

from pipeline.evaluation.sts import STANDARD_TASKS, find_tasks, read_task, read_tasks
from pipeline.records import InputError

HEADER = "subset\tscore\tsentence1\tsentence2\n"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_tsv_is_read_without_quoting(tmp_path):
    path = write(
        tmp_path / "Mine.tsv", HEADER + 'a\t4.5\tHe said "no.\tShe said\u2028yes.\nb\t0\tOne\u00a0two.\tThree.\n'
    )
    task = read_task("Mine", path)
    assert task.sentence1 == ['He said "no.', "One two."]
    assert task.sentence2 == ["She said yes.", "Three."]
    assert task.gold.tolist() == [4.5, 0.0]
    assert task.subset == ["a", "b"]
    assert len(task) == 2


def test_columns_are_found_by_name_and_subset_may_be_absent(tmp_path):
    path = write(tmp_path / "t.tsv", "sentence2\tsentence1\tscore\nB\tA\t3\n")
    task = read_task("t", path)
    assert (task.sentence1, task.sentence2, task.subset) == (["A"], ["B"], [""])


def test_one_bad_line_is_counted_and_the_rest_used(tmp_path):
    path = write(tmp_path / "t.tsv", HEADER + "a\t1\tA.\tB.\na\tmany\tC.\tD.\na\t2\tE.\tF.\n")
    task = read_task("t", path)
    assert len(task) == 2
    (bad,) = task.rejected
    assert (bad.line, bad.file) == (3, str(path))
    assert "'many'" in bad.reason


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("a\tnan\tA.\tB.\n" * 2, "line 2 .*'nan' is not a number"),
        ("a\t1\tA.\n" * 3, "line 2 .*3 columns where the header has 4"),
        ("a\t1\t \tB.\n" * 2, "line 2 .*empty"),
        ("", "no sentence pair"),
    ],
)
def test_a_file_of_bad_lines_is_refused_naming_the_first(tmp_path, lines, said):
    path = write(tmp_path / "t.tsv", HEADER + lines)
    with pytest.raises(InputError, match=said) as error:
        read_task("t", path)
    assert str(path) in str(error.value)
    assert str(error.value).count("\n") == 0


def test_more_than_one_in_twenty_bad_lines_is_no_accident(tmp_path):
    good, bad = "a\t1\tA.\tB.\n", "a\tx\tA.\tB.\n"
    assert len(read_task("t", write(tmp_path / "a.tsv", HEADER + good * 95 + bad * 5)).rejected) == 5
    with pytest.raises(InputError, match="6 of 100 lines are bad, the first is line 96"):
        read_task("t", write(tmp_path / "b.tsv", HEADER + good * 94 + bad * 6))


def test_missing_column_is_named(tmp_path):
    path = write(tmp_path / "t.tsv", "subset\tgold\tsentence1\tsentence2\n")
    with pytest.raises(InputError, match=r"line 1 lacks the column score; it has: subset, gold"):
        read_task("t", path)


def test_binary_file_is_refused(tmp_path):
    (tmp_path / "t.tsv").write_bytes(b"subset\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8 text"):
        read_task("t", tmp_path / "t.tsv")


def test_missing_folder_and_empty_folder(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        find_tasks(tmp_path / "absent")
    with pytest.raises(InputError, match="holds no STS task"):
        find_tasks(tmp_path)


def test_standard_tasks_first_and_tuning_files_left_out(tmp_path):
    for name in ("Own", "SICKR-test", "STSB-dev", "STS12", "STSB-train"):
        write(tmp_path / f"{name}.tsv", HEADER + "a\t1\tA.\tB.\n")
    assert list(find_tasks(tmp_path)) == ["STS12", "SICKR-test", "Own"]
    assert set(find_tasks(tmp_path, for_tuning=True)) == {"STS12", "SICKR-test", "Own", "STSB-dev", "STSB-train"}


@pytest.fixture
def senteval(tmp_path):
    """A folder as SentEval leaves it, with its traps: empty gold lines, extra columns, a line separator in a text."""
    root = tmp_path / "downstream"
    year = root / "STS" / "STS16-en-test"
    write(year / "STS.input.news.txt", "A one.\tB one.\tsource\textra\nA\u2028two.\tB two.\nA  three.\tB three.\n")
    write(year / "STS.gs.news.txt", "1.0\n\n3.0\n")
    write(year / "STS.input.plain.txt", "C.\tD.\r\n")
    write(year / "STS.gs.plain.txt", "5\r\n")
    write(root / "STS" / "STSBenchmark" / "sts-test.csv", 'main\tMSR\t2012\t0001\t2.5\tA "quote.\tB.\tlink\n')
    write(
        root / "SICK" / "SICK_test_annotated.txt",
        "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\n6\tA.\tB.\t3.3\tNEUTRAL\n",
    )
    return root


def test_senteval_layout(senteval):
    tasks = {task.name: task for task in read_tasks(senteval)}
    assert list(tasks) == ["STS16", "STSB-test", "SICKR-test"]
    year = tasks["STS16"]
    assert year.sentence1 == ["A one.", "A three.", "C."]
    assert year.sentence2 == ["B one.", "B three.", "D."]
    assert year.gold.tolist() == [1.0, 3.0, 5.0], "the pair without gold is skipped and nothing after it moves"
    assert year.subset == ["news", "news", "plain"]
    assert tasks["STSB-test"].sentence1 == ['A "quote.']
    assert tasks["STSB-test"].gold.tolist() == [2.5]
    assert tasks["SICKR-test"].subset == ["NEUTRAL"]


def test_senteval_files_out_of_step_are_refused(senteval):
    gold = senteval / "STS" / "STS16-en-test" / "STS.gs.news.txt"
    gold.write_text("1.0\n2.0\n")
    with pytest.raises(InputError, match=r"3 lines but STS\.gs\.news\.txt has 2"):
        read_tasks(senteval)
    gold.unlink()
    with pytest.raises(InputError, match=r"gold scores .*STS\.gs\.news\.txt are missing"):
        read_tasks(senteval)


def test_same_pairs_from_either_layout(tmp_path, senteval):
    from_senteval = read_task("STSB-test", senteval / "STS" / "STSBenchmark" / "sts-test.csv")
    tsv = write(tmp_path / "STSB-test.tsv", HEADER + 'main\t2.5\tA "quote.\tB.\n')
    from_tsv = read_task("STSB-test", tsv)
    assert (from_tsv.sentence1, from_tsv.sentence2) == (from_senteval.sentence1, from_senteval.sentence2)
    np.testing.assert_array_equal(from_tsv.gold, from_senteval.gold)


def test_real_files_hold_the_published_number_of_pairs(shared_data):
    counts = {task.name: (len(task), len(task.rejected)) for task in read_tasks(shared_data / "sts")}
    expected = {"STS12": 3108, "STS14": 3750, "STSB-test": 1379, "SICKR-test": 4927}
    assert counts == {name: (pairs, 0) for name, pairs in expected.items()}
    assert set(counts) <= set(STANDARD_TASKS)


def test_csv_and_json_tables_are_tasks_where_their_columns_say_so(tmp_path):
    write(tmp_path / "one.csv", 'sentence1,sentence2,score,subset\n"A, one.",B.,"1,5",x\nC.,D.,2,y\n')
    write(
        tmp_path / "two.jsonl",
        '{"text1": "A.", "text2": "B.", "label": 3}\n{"text1": "C.", "text2": "D.", "label": 4.5}\n',
    )
    write(tmp_path / "three.json", '[{"sentence1": "A.", "sentence2": "B.", "similarity": 0.25}]')
    write(tmp_path / "mine-dev.csv", "sentence1;sentence2;score\nA.;B.;1\n")
    write(tmp_path / "triplets.csv", "sent0,sent1,hard_neg\na,b,c\n")
    write(tmp_path / "notes.json", '{"a": 1}')
    tasks = {task.name: task for task in read_tasks(tmp_path)}
    assert sorted(tasks) == ["one", "three", "two"]
    assert (tasks["one"].sentence1, tasks["one"].gold.tolist()) == (["A, one.", "C."], [1.5, 2.0])
    assert tasks["one"].subset == ["x", "y"]
    assert tasks["two"].gold.tolist() == [3.0, 4.5] and tasks["three"].gold.tolist() == [0.25]
    assert "mine-dev" in find_tasks(tmp_path, for_tuning=True)


def test_scores_of_a_task_are_read_as_one_column(tmp_path):
    """By the rule of every other format; a Python spelling (1_0) is no number."""
    path = write(tmp_path / "t.tsv", HEADER + "a\t1,5\tA.\tB.\n" * 30 + "a\t1_0\tC.\tD.\n")
    task = read_task("t", path)
    assert task.gold.tolist() == [1.5] * 30
    assert [(line.line, line.reason) for line in task.rejected] == [(32, "the score '1_0' is not a number")]
