"""Tables for a paper, the published rows in them, and comparisons of two encoders."""

import csv
import io
import math
from dataclasses import replace

import numpy as np
import pytest

from pipeline.evaluation.leaderboard import (
    DASH,
    PUBLISHED,
    as_csv,
    as_latex,
    as_markdown,
    compared_tasks,
    measured,
    published,
)
from pipeline.evaluation.metrics import ScoredPairs, compare
from pipeline.statistics import spearman


def test_published_averages_are_the_mean_of_their_seven_scores():
    checked = 0
    for row in PUBLISHED:
        scores = row.by_task()
        if scores:
            assert len(scores) == 7 or (len(scores) == 6 and "SICKR-test" not in scores), "mteb's SICK-R is another"
            assert row.average == pytest.approx(sum(scores.values()) / len(scores), abs=0.011), row
            checked += 1
        assert row.source
    assert checked >= 25


def test_a_row_says_how_many_tasks_its_mean_covers_and_which_labels_were_seen():
    rows = {row.name: published(row) for row in PUBLISHED}
    assert (rows["all-MiniLM-L6-v2"].average, rows["all-MiniLM-L6-v2"].averaged_over) == (79.16, 6)
    assert (rows["GCSE"].averaged_over, rows["GCSE"].scores, rows["MultiCSR"].averaged_over) == (7, {}, 0)
    assert rows["GenSE"].source.endswith("labels seen: NLI") and "labels" not in rows["GCSE"].source


def test_no_number_of_multicsr_is_made_up():
    [row] = [row for row in PUBLISHED if row.name == "MultiCSR"]
    assert row.by_task() == {} and row.average is None and "not verified" in row.source


def test_missing_task_is_no_zero():
    row = measured("mine", {"STS12": 0.7, "STSB-test": 0.8, "own": 0.1, "STS13": math.nan})
    assert row.scores == {"STS12": 70.0, "STSB-test": 80.0, "own": 10.0}
    assert row.average == 75.0 and row.averaged_over == 2
    assert measured("none", {}).average is None
    table = as_markdown([row])
    assert table.splitlines()[2].count(DASH) == 5
    assert " 0.00 " not in table


def test_csv_reads_back_and_runs_no_formula():
    rows = [measured('=HYPERLINK("http://x")', {"STS12": 0.5}), measured('a, "b"\nc', {}), published(PUBLISHED[1])]
    read = list(csv.DictReader(io.StringIO(as_csv(rows))))
    assert [row["encoder"] for row in read] == [
        '\'=HYPERLINK("http://x")',
        'a, "b" c',
        "SimCSE, unsupervised (BERT-base)",
    ]
    assert read[0]["STS12"] == "50.00" and read[0]["STS13"] == "" and read[1]["average"] == ""
    assert read[2]["average"] == "76.25"
    names = ("+1", "-x", "@a", "\t=1", " =1", "a=1")
    read = csv.DictReader(io.StringIO(as_csv([measured(name, {}) for name in names])))
    assert [row["encoder"] for row in read] == ["'+1", "'-x", "'@a", "'=1", "'=1", "a=1"]


def test_names_are_text_in_every_format():
    row = measured("50% of A_B & {C} | `x`", {"STS12": 0.5})
    latex = as_latex([row])
    assert r"50\% of A\_B \& \{C\} | `x`" in latex
    assert r"A\_B \& {C} \| \`x\`" in as_markdown([row])


def test_means_that_are_tied_with_the_best_are_marked_and_no_single_task():
    rows = [measured(name, {"STS12": 0.5, "STS13": 0.6}, is_tied=tied) for name, tied in (("a", True), ("b", False))]
    one, other = as_markdown(rows).splitlines()[2:]
    assert one.count("**") == 2 and "**55.00**" in one and "**" not in other
    assert as_latex(rows).count(r"\textbf") == 1


def encoders(n, generator, noise=(0.9, 0.5)):
    gold = generator.normal(size=n)
    first, second = (gold + level * generator.normal(size=n) for level in noise)
    return ScoredPairs(gold, first, second, linked=np.arange(n))


def test_comparison_of_the_average_is_the_mean_of_the_tasks():
    generator = np.random.default_rng(0)
    tasks = {"one": encoders(300, generator), "two": encoders(200, generator)}
    found = compare(tasks, seed=0, resamples=200)
    by_hand = [spearman(t.second, t.gold) - spearman(t.first, t.gold) for t in tasks.values()]
    assert found.average.value == pytest.approx(np.mean(by_hand))
    assert found.average.is_settled and found.average.low > 0
    widths = [item.high - item.low for item in found.tasks.values()]
    assert found.average.high - found.average.low < max(widths), "a mean of two is surer than the less sure one"


def test_same_encoder_twice_differs_by_nothing_and_undefined_tasks_are_left_out():
    generator = np.random.default_rng(1)
    pairs = encoders(100, generator)
    constant = replace(pairs, first=np.ones(100))
    found = compare({"same": replace(pairs, second=pairs.first), "flat": constant}, seed=0, resamples=50)
    assert list(found.tasks) == ["same"]
    assert found.average.value == found.average.low == found.average.high == 0.0
    assert compare({}, seed=0).average is None


def test_interval_of_the_average_covers_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(2)
    covered = 0
    for seed in range(100):
        tasks = {name: encoders(120, generator, noise=(0.8, 0.8)) for name in ("a", "b")}
        found = compare(tasks, seed=seed, resamples=200, level=0.9).average
        covered += found.low <= 0 <= found.high
    assert 0.82 <= covered / 100 <= 0.97


def test_shuffled_gold_gives_about_zero():
    generator = np.random.default_rng(5)
    pairs = encoders(2000, generator)
    assert spearman(pairs.second, pairs.gold) > 0.8
    assert abs(spearman(pairs.second, generator.permutation(pairs.gold))) < 0.08


def test_means_are_compared_over_the_tasks_that_hold_most_scores():
    four = ["STS12", "STS13", "STS14", "STS15"]
    scored = {f"seed {n}": [*four, "own"] for n in range(3)} | {
        "base": ["STS12", "own"],
        "one more": [*four, "STS16"],
    }
    assert compared_tasks(scored) == four, (
        "neither the own task, nor the one of a single encoder, nor only the shared"
    )
    assert compared_tasks({"a": ["mine", "own"], "b": ["own"]}) == ["mine", "own"]
