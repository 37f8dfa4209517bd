"""The benchmark with an encoder whose vectors are known, and with the real ones against published values."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from pipeline.encoders import load_encoder
from pipeline.evaluation.benchmark import dev_score, evaluate, held_out_accuracy, notes, summary
from pipeline.evaluation.sts import RowError, StsTask, read_task, read_tasks
from pipeline.records import EvalScore, Triplet


class AngleEncoder:
    """Reads a text as an angle in degrees, which makes cosines workable by hand; remembers what it was asked."""

    def __init__(self):
        self.asked = []

    def encode(self, sentences, *, batch_size, **options):
        self.asked.extend(sentences)
        angles = np.radians([float(text) for text in sentences])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def task(name, pairs, gold, subset=None):
    first, second = (list(side) for side in zip(*pairs, strict=True))
    return StsTask(name, first, second, np.array(gold, dtype=float), subset or [""] * len(gold))


def test_cosines_and_score_by_hand():
    (result,) = evaluate(AngleEncoder(), [task("t", [("0", "60"), ("10", "10"), ("0", "90")], [3, 5, 0])])
    np.testing.assert_allclose(result.predicted, [0.5, 1, 0], atol=1e-6)
    assert result.score == EvalScore("t", 1.0, 3)


def test_a_task_without_a_score_says_why_and_unusable_lines_are_listed():
    pairs = [("0", "60"), ("10", "10"), ("0", "90")]
    bad = RowError("lines.tsv", 7, "a sentence is empty")
    tasks = [
        task("flat", pairs, [2, 2, 2]),
        task("single", pairs[:1], [2]),
        task("alike", [("0", "30"), ("10", "40")], [1, 2]),
        replace(task("lines", pairs, [3, 5, 0]), rejected=[bad]),
    ]
    encoder = AngleEncoder()
    encoder.encode = lambda sentences, **_: np.array(
        [[1, 0] if float(s) in (0, 10) else [0.6, 0.8] for s in sentences]
    )
    results = list(evaluate(encoder, tasks))
    assert summary(result.score for result in results)["missing"][-3:] == ["flat", "single", "alike"]
    assert notes(results) == {
        "undefined": {
            "flat": "its gold scores are all the same",
            "single": "it has fewer than two pairs",
            "alike": "the encoder gives all its pairs the same cosine",
        },
        "rejected": {"lines": [{"file": "lines.tsv", "line": 7, "reason": "a sentence is empty"}]},
    }


def test_subsets_are_concatenated_and_not_averaged():
    # Each subset is ordered perfectly, but on different scales; one correlation over all pairs must see that.
    pairs = [("0", "10"), ("0", "20"), ("0", "70"), ("0", "80")]
    (result,) = evaluate(AngleEncoder(), [task("t", pairs, [2, 1, 4, 3], ["a", "a", "b", "b"])])
    assert result.score.spearman == pytest.approx(-0.6)


def test_each_sentence_is_encoded_once_over_all_tasks():
    encoder = AngleEncoder()
    tasks = [task("one", [("1", "2"), ("2", "3")], [1, 2]), task("two", [("3", "4"), ("1", "1")], [1, 2])]
    started = []
    results = list(evaluate(encoder, tasks, on_task=started.append))
    assert sorted(encoder.asked) == ["1", "2", "3", "4"]
    assert started == ["one", "two"]
    assert [len(result.predicted) for result in results] == [2, 2]


def test_summary_averages_rounded_scores_and_lists_what_is_missing():
    scores = [EvalScore("STS12", 0.700049, 10), EvalScore("STSB-test", 0.80006, 5), EvalScore("Own", 0.1, 3)]
    table = summary(scores)
    assert table["tasks"]["STS12"] == {"spearman": 70.0, "pairs": 10}
    assert table["average"] == 75.0
    assert table["averaged_over"] == ["STS12", "STSB-test"]
    assert table["missing"] == ["STS13", "STS14", "STS15", "STS16", "SICKR-test"]


def test_a_missing_task_does_not_count_as_0():
    found = [EvalScore(name, 0.8, 10) for name in ("STS12", "STS14", "STSB-test")]
    assert summary(found)["average"] == 80.0
    assert summary([*found, EvalScore("STS13", 0.0, 10)])["average"] == 60.0, "a score of 0 does count"


def test_shuffled_gold_gives_about_zero(shared_data):
    """Nothing but the gold scores may carry the result: 4,927 pairs leave a standard error of 1.4."""
    task = read_task("SICKR-test", shared_data / "sts" / "SICKR-test.tsv")
    encoder = load_encoder("static-minilm")
    for seed in range(3):
        shuffled = replace(task, gold=np.random.default_rng(seed).permutation(task.gold))
        (result,) = evaluate(encoder, [shuffled])
        assert abs(100 * result.score.spearman) < 5


def test_undefined_score_is_missing_and_the_table_stays_json():
    table = summary([EvalScore("STS12", math.nan, 10), EvalScore("STS13", 0.5, 10), EvalScore("Own", math.nan, 1)])
    assert table["average"] == 50.0
    assert "STS12" in table["missing"]
    assert "Own" in table["missing"]
    json.loads(json.dumps(table, allow_nan=False))
    assert summary([])["average"] is None


def test_own_tasks_alone_are_averaged():
    assert summary([EvalScore("Own", 0.2, 3), EvalScore("Other", 0.4, 3)])["average"] == 30.0


def test_held_out_accuracy_by_hand():
    triplets = [Triplet("0", "10", "50"), Triplet("0", "60", "20"), Triplet("0", "30", "30"), Triplet("5", "5", "6")]
    assert held_out_accuracy(AngleEncoder(), triplets) == 0.5, "a tie is not won"
    assert math.isnan(held_out_accuracy(AngleEncoder(), []))


def test_dev_score_is_the_spearman_of_the_task():
    assert dev_score(task("t", [("0", "60"), ("10", "10")], [5, 3]))(AngleEncoder()) == pytest.approx(-1.0)


def test_batched_vectors_equal_one_by_one():
    encoder = load_encoder("all-MiniLM-L6-v2")
    pairs = [("A dog.", "A much longer sentence about a dog that runs."), ("A cat sleeps.", "Nothing at all.")]
    (result,) = evaluate(encoder, [task("t", pairs, [1, 2])])
    alone = [float(np.dot(encoder.encode(a), encoder.encode(b))) for a, b in pairs]
    np.testing.assert_allclose(result.predicted, alone, atol=1e-5)


def test_minilm_reaches_its_check_value(shared_data):
    sts = shared_data / "sts"
    (result,) = evaluate(load_encoder("all-MiniLM-L6-v2"), [read_task("STSB-test", sts / "STSB-test.tsv")])
    assert 100 * result.score.spearman == pytest.approx(82.03, abs=0.05)


@pytest.mark.parametrize(
    ("name", "scores"),
    [
        ("static-minilm", {"STS12": 59.29, "STS14": 68.35, "STSB-test": 69.83, "SICKR-test": 59.10}),
        ("static-minilm-unweighted", {"STS12": 46.77, "STS14": 49.76, "STSB-test": 50.89, "SICKR-test": 60.09}),
    ],
)
def test_static_encoders_on_all_tasks(shared_data, name, scores):
    # No published value: the figures of the first run here, so that a change of tokenising, weights or pooling shows.
    table = summary(r.score for r in evaluate(load_encoder(name), read_tasks(shared_data / "sts")))
    assert {task: row["spearman"] for task, row in table["tasks"].items()} == pytest.approx(scores, abs=0.05)
