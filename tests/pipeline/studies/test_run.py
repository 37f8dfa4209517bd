"""Running studies: every cell once, whatever stops them, and what is shared is made once."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from pipeline.config import GenerationConfig
from pipeline.curation.calibration import Calibration
from pipeline.evaluation.benchmark import is_held_out
from pipeline.evaluation.sts import read_task
from pipeline.generation import prompt_sets
from pipeline.records import Contrast, GeneratedTriplet, InputError, Outcome, Premise, SideResult
from pipeline.statistics import plain_score
from pipeline.studies import cells, data
from pipeline.studies.cache import Lines, StudyCache
from pipeline.studies.cells import read_cell, trained_cell
from pipeline.studies.data import ArmData, DataSource, in_half
from pipeline.studies.report import make_report
from pipeline.studies.run import run_study, study_tasks
from pipeline.studies.sample_results import SampleResults
from pipeline.studies.spec import Curation, EarlyStop, Evaluation
from pipeline.studies.spec_file import read_study
from pipeline.studies.wording import as_markdown


def quiet(what: str, done: int, total: int) -> None:
    pass


@pytest.fixture
def counted(monkeypatch):
    """Counts the cells that are really trained or scored."""
    ran: list[str] = []
    whole = cells.run_cell

    def run_cell(cell, *arguments, **options):
        ran.append(f"{cell.arm} {cell.seed}")
        return whole(cell, *arguments, **options)

    monkeypatch.setattr("pipeline.studies.run.run_cell", run_cell)
    return ran


def run(study_file, cache, study=None):
    study = study or read_study(study_file)
    return run_study(study, DataSource(study, cache), cache, progress=quiet)


def test_a_finished_cell_is_never_run_again_and_gives_the_same_report(study_file, tmp_path, counted):
    cache = StudyCache(tmp_path / "cache", tmp_path / "vectors")
    first = make_report(run(study_file, cache), resamples=50)
    assert counted == ["untrained 0", "plain 0", "hot 0", "plain 1", "hot 1"]
    again = make_report(run(study_file, cache), resamples=50)
    assert len(counted) == 5
    assert json.dumps(again.to_json()) == json.dumps(first.to_json())
    more = replace(read_study(study_file), seeds=(0, 1, 2))
    run(study_file, cache, more)
    assert counted[5:] == ["plain 2", "hot 2"], "only the new seed is run"
    assert not list((tmp_path / "cache").rglob("model.safetensors")), "encoders are not kept unless asked for"


def test_halves_are_the_same_premises_in_every_arm_and_widen_the_intervals(study_file, tmp_path, counted):
    study = replace(read_study(study_file), halves=3)
    cache = StudyCache(tmp_path / "cache", tmp_path / "vectors")
    found = run(study_file, cache, study)
    assert counted[5:] == [f"{arm} {half}" for half in range(3) for arm in ("plain", "hot")]
    rows = DataSource(study, cache).of(study.arms[0])
    for half in range(3):
        kept = [triplet for triplet in rows.triplets if in_half(triplet.premise, half)]
        assert [found.halves[arm][half].triplets for arm in ("plain", "hot")] == [len(kept)] * 2
        assert 0 < len(kept) < len(rows.triplets)
    wide, narrow = (make_report(replace(found, halves=halves), resamples=400) for halves in (found.halves, {}))
    widths = [
        found.high - found.low
        for report in (wide, narrow)
        for found in (report.against_baseline[1].tasks["average"],)
    ]
    assert widths[0] > widths[1] and wide.rows == narrow.rows


def test_the_best_step_is_that_of_the_dev_task_and_the_last_step_is_that_without_dev_scores(study_file, tmp_path):
    shutil.copy(tmp_path / "sts" / "STS12.tsv", tmp_path / "sts" / "STSB-dev.tsv")
    evaluation = Evaluation(tmp_path / "sts", ("STS12", "STSB-test"))
    study = replace(read_study(study_file), evaluation=evaluation, seeds=(0,))
    study = replace(study, arms=tuple(replace(arm, train=replace(arm.train, steps=6)) for arm in study.arms))
    cache = StudyCache(tmp_path / "cache", tmp_path / "vectors")
    without = run(study_file, cache, study)
    stopped = run(study_file, cache, replace(study, early_stop=EarlyStop(("STSB-dev",), every=2)))
    dev = read_task("STSB-dev", tmp_path / "sts" / "STSB-dev.tsv")
    for arm, (cell,) in stopped.cells.items():
        for task, values in without.cells[arm][0].predictions.items():
            np.testing.assert_allclose(cell.predictions[task], values, atol=1e-6)
        assert [step for step, _ in cell.dev_scores] == [2, 4, 6]
        step, score = max(cell.dev_scores, key=lambda found: found[1])
        assert cell.best_step == step
        assert plain_score(cell.best["STS12"], dev.gold) == pytest.approx(score, abs=1e-9)
    report = make_report(stopped, resamples=50)
    assert report.best_step.steps == {arm: [cell.best_step] for arm, (cell,) in stopped.cells.items()}
    assert "Scores at each run's best step" in as_markdown(report) and "STSB-dev 20 pairs" in as_markdown(report)
    with pytest.raises(InputError, match="shares a sentence with a test task"):
        run(study_file, cache, replace(study, early_stop=EarlyStop(("STSB-dev",), every=2, apart=True)))


def test_a_study_killed_in_a_cell_goes_on_to_the_same_result(study_file, tmp_path, monkeypatch):
    whole = run(study_file, StudyCache(tmp_path / "whole", tmp_path / "vectors"))
    cache = StudyCache(tmp_path / "broken", tmp_path / "vectors")
    keep = cells._keep
    calls = []

    def keep_then_die(result, folder):
        calls.append(result)
        if len(calls) == 3:
            (folder / "cell.json").write_text('{"arm": "pla')  # a kill in the middle of the record
            raise KeyboardInterrupt
        keep(result, folder)

    monkeypatch.setattr(cells, "_keep", keep_then_die)
    with pytest.raises(KeyboardInterrupt):
        run(study_file, cache)
    gone_on = run(study_file, cache)
    assert len(calls) == 3 + 3  # the one cut short and the two that never began
    for arm, results in whole.cells.items():
        for one, other in zip(results, gone_on.cells[arm], strict=True):
            assert all(np.array_equal(one.predictions[task], other.predictions[task]) for task in one.predictions)


def test_a_cell_is_named_by_settings_data_seed_and_evaluation_and_by_nothing_else(study_file, triplets):
    study = read_study(study_file)
    tasks = study_tasks(
        study, DataSource(study, StudyCache(study_file.parent / "cache", study_file.parent / "vectors"))
    )
    arm, rows = study.arms[0], ArmData(triplets)
    cell = trained_cell(arm, 0, rows, tasks)

    def other(arm=arm, seed=0, rows=rows, tasks=tasks):
        return trained_cell(arm, seed, rows, tasks).cell_id

    same = replace(arm, name="b", train=replace(arm.train, device="cpu", eval_every=5, mask_threshold=0.1))
    assert other(arm=same) == cell.cell_id, "names, device and the threshold of no mask change nothing"
    changed = [
        other(arm=replace(arm, train=replace(arm.train, temperature=0.06))),
        other(arm=replace(arm, train=replace(arm.train, mask_rule="phi"))),
        other(seed=1),
        other(rows=ArmData(triplets[:-1])),
        other(tasks=replace(tasks, key="other data")),
        other(arm=replace(arm, size=5)),
    ]
    assert len({cell.cell_id, *changed}) == len(changed) + 1


def test_a_subset_is_drawn_anew_for_each_seed(triplets):
    rows = ArmData(triplets)
    drawn = [rows.drawn(10, seed) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2] and len(set(drawn[0])) == 10
    assert rows.drawn(None, 0) == triplets == rows.drawn(1000, 0)


def test_without_sts_data_a_fifth_of_the_premises_is_held_out_of_every_arm(study_file, tmp_path, triplets):
    study_file.write_text(study_file.read_text().replace("evaluation: {sts_dir: sts}", ""))
    done = run(study_file, StudyCache(tmp_path / "cache", tmp_path / "vectors"))
    held_out = [t for t in triplets if is_held_out(t.premise)]
    assert done.cells["plain"][0].triplets == len(triplets) - len(held_out)
    assert done.tasks.triplets == tuple(held_out)
    values = done.cells["plain"][0].predictions["held-out triplets"]
    assert len(values) == len(held_out) and set(values) <= {0.0, 1.0}
    report = make_report(done, resamples=50)
    assert report.rows[1].scores["held-out triplets"].per_seed[0] == pytest.approx(100 * values.mean())


@pytest.fixture
def spoken(monkeypatch):
    """An LLM that numbers its replies, and a judge that prefers long sentences; both count their work."""
    work = {"generated": [], "judged": []}

    def generate(premises, config, hub):
        for premise in premises:
            work["generated"].append(premise.text)
            outcome = Outcome.COPY if "copy" in premise.text else Outcome.OK
            side = SideResult(f"{premise.text} at {config.omega}", "", outcome)
            yield GeneratedTriplet(premise, side, SideResult("no", "", Outcome.OK), Contrast.NONE)

    class Judge:
        judge_id = "guide:long"

        def scores(self, pairs):
            work["judged"] += pairs
            return np.array([float(len(second)) for _, second in pairs])

    monkeypatch.setattr(data, "generated", generate)
    monkeypatch.setattr(data, "judge_named", lambda name, hub, vectors: Judge())
    return work


def long_is_close() -> Calibration:
    return Calibration("guide:long", "v", (0.0, 20.0), (0.0, 5.0), 0, 0, "", 0, 0)


def test_generation_and_judging_are_shared_by_arms_and_never_done_twice(study_file, tmp_path, spoken):
    (tmp_path / "p.txt").write_text("A dog runs.\nA copy of it.\nA very long sentence.\n")
    study_file.write_text(
        """
study: small
premises: p.txt
train: {steps: 1}
curation: {judge: "guide:long", alpha: 4.9, beta: 5, gamma: 0}
arms: [{name: a}, {name: b, curation: true}, {name: c, generation: {omega: 0.1}}]
"""
    )
    study = read_study(study_file)
    cache = StudyCache(tmp_path / "cache", tmp_path / "vectors")
    for _ in range(2):
        source = DataSource(study, cache, [long_is_close()])
        a, b, c = (source.of(arm) for arm in study.arms)
    assert len(spoken["generated"]) == 3 + 3 and len(spoken["judged"]) == 4
    assert [t.premise for t in a.triplets] == ["A dog runs.", "A very long sentence."]
    assert [t.premise for t in b.triplets] == ["A very long sentence."]
    assert c.triplets[0].positive == "A dog runs. at 0.1"
    with pytest.raises(InputError, match=r"No calibration is shipped for judge guide:other; name a folder"):
        source.calibration(Curation("guide:other", study.arms[1].curation.rule))


def test_texts_are_kept_by_what_decides_them(tmp_path, spoken, monkeypatch):
    """An edited prompt set is written again under its old name; a budget or another name of a set changes nothing."""
    cache, premises = StudyCache(tmp_path / "cache", tmp_path / "vectors"), [Premise.from_text("A dog runs.")]

    def written_again(config: GenerationConfig) -> int:
        spoken["generated"].clear()
        lines = data.generated_lines(premises, config, SampleResults(), cache, hub=None, progress=lambda *_: None)
        assert lines.keys() == {premises[0].premise_id}
        return len(spoken["generated"])

    assert written_again(GenerationConfig()) == 1
    assert written_again(GenerationConfig()) == 0
    assert written_again(GenerationConfig(token_budget=5000)) == 0
    assert written_again(GenerationConfig(omega=0.123)) == 1
    shipped = prompt_sets.SHIPPED[0]
    assert shipped.prompt_set_id == GenerationConfig().prompt_set
    renamed = replace(shipped, prompt_set_id="renamed")
    monkeypatch.setattr(prompt_sets, "SHIPPED", [*prompt_sets.SHIPPED, renamed])
    assert written_again(GenerationConfig(prompt_set="renamed")) == 0
    edited = replace(shipped, positive=replace(shipped.positive, instruction="Paraphrase the sentence briefly."))
    monkeypatch.setattr(prompt_sets, "SHIPPED", [edited])
    assert written_again(GenerationConfig()) == 1


def test_a_line_cut_short_by_a_kill_is_dropped(tmp_path):
    lines = Lines(tmp_path / "x.jsonl")
    lines.append([{"a": 1}, {"a": 2}])
    with lines.path.open("ab") as file:
        file.write(b'{"a": 3')
    assert [row["a"] for row in lines.read()] == [1, 2]
    lines.append([{"a": 4}])
    assert [row["a"] for row in lines.read()] == [1, 2, 4]


def test_a_task_that_the_folder_lacks_is_named(study_file, tmp_path):
    study_file.write_text(study_file.read_text().replace("{sts_dir: sts}", "{sts_dir: sts, tasks: [STS99]}"))
    with pytest.raises(InputError, match="does not hold the task STS99; it holds STS12, STSB-test"):
        run(study_file, StudyCache(tmp_path / "cache", tmp_path / "vectors"))


def test_a_damaged_cell_counts_as_not_finished(study_file, tmp_path):
    cache = StudyCache(tmp_path / "cache", tmp_path / "vectors")
    study = read_study(study_file)
    done = run(study_file, cache)
    cell = trained_cell(study.arms[0], 0, done.data["plain"], done.tasks)
    assert read_cell(cell, cache) is not None
    (cache.cell(cell.cell_id) / "predictions.npz").write_bytes(b"PK\x03\x04 cut")
    assert read_cell(cell, cache) is None
