"""The report: figures as worked out by hand, verdicts only where settled, one safe file of its own."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from pipeline.evaluation.sts import StsTask
from pipeline.studies.cells import CellResult, StudyTasks
from pipeline.studies.data import ArmData
from pipeline.studies.html_report import as_page, findings, tick_step
from pipeline.studies.report import make_report
from pipeline.studies.run import StudyRun
from pipeline.studies.spec import Arm, Contrast, Evaluation, Study
from pipeline.studies.wording import as_markdown
from pipeline.train_config import TrainConfig

SLY = '<script>alert("x")</script>|`*'
ITEMS = 200


def task(name, gold):
    first, second = ([f"{name} {side} {row}" for row in range(ITEMS)] for side in ("first", "second"))
    return StsTask(name, first, second, gold, [""] * ITEMS)


@pytest.fixture
def run():
    """Five seeds of a base arm, one that is better by far, and one that is the base arm with other noise."""
    generator = np.random.default_rng(0)
    tasks = StudyTasks(sts=tuple(task(name, generator.normal(size=ITEMS)) for name in ("STS12", "STSB-test")))

    def cell(arm, seed, noise):
        predictions = {t.name: t.gold + noise * generator.normal(size=ITEMS) for t in tasks.sts}
        trained = arm != "untrained"
        return CellResult(arm, seed, "", 100 * trained, 64 * trained, 2.0 + seed, 1.0, 0.125, 0.5, predictions)

    arms = tuple(Arm(name, TrainConfig(steps=7)) for name in ("base", SLY, "alike"))
    study = Study(
        name="s", title=f"Title {SLY}", about="About.", arms=arms, seeds=tuple(range(5)), baseline="base",
        evaluation=Evaluation(), contrasts=(Contrast("both", (SLY, "alike"), ("base",)),),
    )  # fmt: skip
    cells = {"base": 1.0, SLY: 0.3, "alike": 1.0}
    data = {arm.name: ArmData([], generation_s=12.0, judging_s=3.0) for arm in arms}
    results = {name: [cell(name, seed, noise) for seed in range(5)] for name, noise in cells.items()}
    return StudyRun(study, tasks, data, [cell("untrained", 0, 3.0)], results)


@pytest.fixture
def report(run):
    return make_report(run, resamples=200)


def test_means_and_spreads_are_over_seeds_and_the_average_is_over_tasks_first(report, run):
    from scipy.stats import spearmanr

    row = next(row for row in report.rows if row.arm == "base")
    scores = np.array(
        [[100 * spearmanr(c.predictions[t.name], t.gold).statistic for t in run.tasks.sts] for c in run.cells["base"]]
    )
    assert row.scores["STS12"].per_seed == pytest.approx(scores[:, 0])
    assert row.scores["average"].mean == pytest.approx(scores.mean())
    assert row.scores["average"].sd == pytest.approx(scores.mean(axis=1).std(ddof=1))
    assert (row.triplets, row.train_s, row.generation_s, row.masked_share) == (100, 4.0, 12.0, 0.125)
    assert report.rows[0].arm == "untrained" and report.rows[0].triplets is None
    assert report.rows[0].scores["average"].sd is None


def test_a_verdict_stands_only_where_it_is_settled(report):
    verdicts = {effect.name: effect.verdict() for effect in report.against_baseline}
    assert verdicts == {"untrained": "worse", SLY: "better", "alike": "no clear difference"}
    told = dict(zip([text.split(" ")[0] for _, text in findings(report)], findings(report), strict=True))
    assert told["alike"][0] == "open" and "cannot be told from base" in told["alike"][1]
    assert told["both"][1].startswith("both is better than base: +")


def test_departures_from_a_published_study_are_listed_as_text(run):
    report = make_report(replace(run, study=replace(run.study, deviations=("fp32", SLY))), resamples=20)
    assert "<li>fp32</li>" in as_page(report) and "<script" not in as_page(report)
    assert "\n- fp32\n- " in as_markdown(report)


def test_arms_are_tied_with_the_best_unless_the_difference_is_settled(report, run):
    assert report.tied == [SLY]
    alike = make_report(replace(run, cells={arm: run.cells[arm] for arm in ("base", "alike")}, study=replace(
        run.study, arms=tuple(arm for arm in run.study.arms if arm.name != SLY), contrasts=()
    )), resamples=200)  # fmt: skip
    assert sorted(alike.tied) == ["alike", "base"]
    assert as_page(alike).count('class="best"') == 2


def test_a_task_of_one_cluster_leaves_its_verdict_and_the_averages_open(run):
    one, other = run.tasks.sts
    linked = StudyTasks(sts=(replace(one, sentence1=["the same"] * ITEMS), other))
    report = make_report(replace(run, tasks=linked), resamples=200)
    effect = next(effect for effect in report.against_baseline if effect.name == SLY)
    assert [effect.verdict(task) for task in report.tasks] == ["no clear difference", "better", "no clear difference"]
    page = as_page(report)
    assert "nan" not in page and "nan" not in as_markdown(report)
    assert "(interval unknown)" in page and "(interval unknown)" in as_markdown(report)


class Reader(HTMLParser):
    """Collects tags and whatever would be fetched; a page must close what it opens."""

    VOID = ("meta", "line", "circle")

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.links, self.text = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_is_one_file_without_script_or_network_and_shows_names_as_text(report):
    page = as_page(report, command="python -m workbench study s.yaml --sts-dir 'a b'")
    reader = Reader()
    reader.feed(page)
    assert reader.open == [] and reader.links == []
    assert "script" not in reader.tags and not re.search(r"https?://|@import|url\(", page)
    text = " ".join(reader.text)
    assert SLY in text and "prefers-color-scheme: dark" in page
    assert page.count("<svg") == 1 + 2 + 1, "the average, each task, the contrasts"
    assert "SimCSE, supervised (BERT-base)" in text and "75.30" in text and "MultiCSR" not in text
    assert "study s.yaml --sts-dir 'a b'" in text


def test_markdown_has_the_same_figures_and_no_live_markup(report):
    text = as_markdown(report)
    row = next(row for row in report.rows if row.arm == "base").scores["average"]
    assert "| base | 100 | " in text and f"{row.mean:.2f} ± {row.sd:.2f}" in text
    assert "<script>" not in text.replace("\\<script\\>", "") and "no clear difference" in text
    assert all(line.count(" | ") == text.split("\n")[8].count(" | ") for line in text.split("\n")[8:12])


def test_the_report_is_json_without_nan(report):
    assert json.loads(json.dumps(report.to_json(), allow_nan=False))["rows"][1]["arm"] == "base"


@pytest.mark.parametrize(("span", "step"), [(0, 1), (0.9, 0.2), (1.3, 0.5), (6, 1), (7, 2), (29, 5), (400, 100)])
def test_ticks_are_round(span, step):
    assert tick_step(span) == pytest.approx(step)
