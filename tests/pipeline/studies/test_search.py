"""A search: the dev tasks choose, the test tasks are met by the chosen arm and the baseline alone."""

import numpy as np
import pytest

from pipeline.records import InputError
from pipeline.studies.cache import StudyCache
from pipeline.studies.data import DataSource
from pipeline.studies.html_report import as_page
from pipeline.studies.report import make_report
from pipeline.studies.run import run_search
from pipeline.studies.spec_file import read_study
from pipeline.studies.wording import as_markdown

SEARCH = """
search:
  dev: [STSB-dev]
  grid: {train.temperature: [0.05, 0.5], train.learning_rate: [0.001, 0.05]}
  arm: {name: try, triplets: triplets.jsonl}
"""


@pytest.fixture
def search_file(study_file):
    """The small study as a search over four settings, with a dev task that is its first test task."""
    folder = study_file.parent / "sts"
    (folder / "STSB-dev.tsv").write_text((folder / "STS12.tsv").read_text())
    study_file.write_text(study_file.read_text().replace("  - {name: hot", "  # - {name: hot") + SEARCH)
    return study_file


def searched(file, tmp_path, monkeypatch):
    study, cache = read_study(file), StudyCache(tmp_path / "cache", tmp_path / "vectors")
    scored: list[tuple[str, ...]] = []
    from pipeline.studies import run as module

    whole = module.run_cell

    def run_cell(cell, tasks, *arguments, **options):
        scored.append((cell.arm, *tasks.names))
        return whole(cell, tasks, *arguments, **options)

    monkeypatch.setattr(module, "run_cell", run_cell)
    quiet = lambda *told: None  # noqa: E731
    return run_search(study, DataSource(study, cache), cache, progress=quiet, watch=quiet), scored


def test_one_arm_is_chosen_by_its_dev_score_and_only_that_one_meets_the_tests(search_file, tmp_path, monkeypatch):
    run, scored = searched(search_file, tmp_path, monkeypatch)
    tried = {f"try temperature {t} learning_rate {r}" for t in (0.05, 0.5) for r in (0.001, 0.05)}
    assert {arm for arm, *tasks in scored if tasks == ["STSB-dev"]} == {"untrained", "plain", *tried}
    by_hand = {c.arm: np.mean(c.per_seed) for c in run.candidates}
    assert by_hand.keys() == {"plain", *tried}
    assert [c.mean for c in run.candidates] == sorted(by_hand.values(), reverse=True)
    best = max(tried, key=by_hand.__getitem__)
    assert {arm for arm, *tasks in scored if tasks == ["STS12", "STSB-test"]} == {"untrained", "plain", best}
    assert len(scored) == 1 + 5 * 2 + 1 + 2 * 2, "every cell once"
    # STS12 holds the dev task's pairs here, so the chosen arm's score there is its dev score again.
    report = make_report(run, resamples=20)
    chosen = next(row for row in report.rows if row.arm == best)
    assert chosen.scores["STS12"].mean == pytest.approx(by_hand[best], abs=1e-9)
    assert [row.arm for row in report.rows] == ["untrained", "plain", best]
    for text in (as_markdown(report), as_page(report)):
        assert "5 arms were scored on the dev tasks" in text
        assert f"{by_hand[best]:.2f}" in text
        assert all(arm.replace("_", mark) in text for arm in tried for mark in (("\\_") if text[0] == "#" else "_",))


def test_dev_pairs_that_share_a_sentence_with_a_test_task_choose_nothing(search_file, tmp_path, monkeypatch):
    """With the dev task's first half not among the tests, only that half is scored."""
    folder = search_file.parent / "sts"
    rows = (folder / "STS12.tsv").read_text().splitlines()
    own = [row.replace("e", "é") for row in rows[1:]]
    (folder / "STSB-dev.tsv").write_text("\n".join([*rows, *own]))
    search_file.write_text(search_file.read_text().replace("dev: [STSB-dev]", "dev: [STSB-dev]\n  apart: true"))
    run, _ = searched(search_file, tmp_path, monkeypatch)
    (folder / "STSB-dev.tsv").write_text("\n".join([rows[0], *own]))
    search_file.write_text(search_file.read_text().replace("apart: true", "apart: false"))
    assert run.candidates == searched(search_file, tmp_path, monkeypatch)[0].candidates
    assert "without the pairs that share a sentence" in as_markdown(make_report(run, resamples=20))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("dev: [STSB-dev]", "dev: []", "search, dev: names no task"),
        ("dev: [STSB-dev]", "dev: [STS12]", "searches on STS12 and reports on it"),
        ("grid: {train.temp", "grid: {temp", "must be size or generation., curation. or train.FIELD"),
        (
            "  arm: {name: try",
            "contrasts: [{name: c, plus: [plain], minus: [plain]}]\n#  arm: {",
            "take out the contrasts",
        ),
        ("{sts_dir: sts}", "{}", "name an STS folder"),
    ],
)
def test_what_cannot_be_searched_is_refused(search_file, tmp_path, monkeypatch, old, new, told):
    text = search_file.read_text().replace("{sts_dir: sts}", "{sts_dir: sts, tasks: [STS12, STSB-test]}")
    if old == "{sts_dir: sts}":
        text = search_file.read_text()
    if "contrasts" in new:
        text = text.replace("}\n\nsearch", "}\nsearch")
    search_file.write_text(text.replace(old, new))
    with pytest.raises(InputError, match=told.replace(".", r"\.")):
        searched(search_file, tmp_path, monkeypatch)
