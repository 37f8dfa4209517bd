"""Our STS files through mteb itself: the same figures, in mteb's own results."""

import json

import pytest

from pipeline.encoders import load_encoder
from pipeline.evaluation import benchmark, mteb_tasks, sts
from pipeline.records import InputError

mteb = pytest.importorskip("mteb", reason="needs the extra mteb: pip install '.[mteb]'")


def as_mteb(task: sts.StsTask):
    """A task of mteb with these very pairs in place of a data set on the hub."""
    import datasets
    from mteb.abstasks.sts import AbsTaskSTS

    known = mteb.get_task("STSBenchmark").metadata

    class Own(AbsTaskSTS):
        metadata = known.model_copy(update={"name": task.name})
        min_score, max_score = 0, 5

        def load_data(self, **_options):
            columns = {"sentence1": task.sentence1, "sentence2": task.sentence2, "score": list(map(float, task.gold))}
            self.dataset = datasets.DatasetDict({"test": datasets.Dataset.from_dict(columns)})
            self.data_loaded = True

    return Own()


def test_our_files_through_mteb_give_the_same_figures(shared_data, tmp_path):
    names = ("STS12", "STS14", "STSB-test", "SICKR-test")
    found = sts.find_tasks(shared_data / "sts")
    tasks = [sts.read_task(name, found[name]) for name in names if name in found]
    assert tasks
    encoder = load_encoder("static-minilm")
    ours = {result.score.task: result.score.spearman for result in benchmark.evaluate(encoder, tasks)}
    scores = mteb_tasks.evaluate_mteb(encoder, [as_mteb(task) for task in tasks], tmp_path)
    # mteb's cosines are float32; where the two sentences of a pair are equal, as often in STS12, rounding ranks them.
    assert scores == pytest.approx(ours, abs=5e-5)
    for name, score in scores.items():
        record = json.loads((tmp_path / f"{name}.json").read_text())
        [test] = record["scores"]["test"]
        assert test["cosine_spearman"] == test["main_score"] == pytest.approx(score)
        assert record["mteb_version"] == mteb.__version__


def test_a_task_a_benchmark_and_an_unknown_name():
    assert [task.metadata.name for task in mteb_tasks.find_mteb("STSBenchmark")] == ["STSBenchmark"]
    assert len(mteb_tasks.find_mteb("MTEB(eng, v2)")) > 20
    with pytest.raises(InputError, match="no task and no benchmark 'nothing'"):
        mteb_tasks.find_mteb("nothing")
