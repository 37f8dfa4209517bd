"""Where jobs run: the words after --on, what is missing, and lanes on machines with several GPUs."""

import pytest

from pipeline.config import GenerationConfig
from pipeline.records import InputError
from pipeline.train_config import TrainConfig
from tests.workbench.processes import wait_for
from workbench.jobs import places
from workbench.jobs.kinds import GenerateSpec, TrainSpec
from workbench.jobs.runner import lanes_of


@pytest.mark.parametrize(
    "text", ["", "gpu", "gpu:x", "gpu:-1", "torchrun:0", "torchrun", "ray: a b", "slurm", "local:2", "gpu:0,"]
)
def test_what_is_no_place_is_one_sentence(text):
    with pytest.raises(InputError, match="is no place to run a job; write local, gpu:NUMBER"):
        places.Place.parse(text)


def test_a_kind_of_job_runs_where_it_can(monkeypatch):
    monkeypatch.setattr(places, "find_spec", lambda name: None)
    for kind, on, sentence in (
        ("train", "ray", "does not run on Ray, as ray asks; generate, write_premises, judge"),
        ("train", "gpu:0,1", "does not run on Ray, as gpu:0,1 asks"),
        ("generate", "gpu:1,2", "this machine has GPUs 0 to 1"),
        ("generate", "torchrun:2", "torchrun is for training"),
        ("generate", "ray:10.0.0.1:6379", "Ray is not installed: pip install"),
        ("train", "torchrun:4", "this machine has 2: choose torchrun:2"),
        ("generate", "gpu:2", "this machine has GPUs 0 to 1"),
    ):
        with pytest.raises(InputError, match=sentence):
            places.checked(kind, on, gpus=2)
    with pytest.raises(InputError, match="has no GPU; choose local"):
        places.checked("generate", "gpu:0", gpus=0)
    assert places.checked("generate", " gpu:1 ", gpus=2) == "gpu:1"
    assert places.checked("train", "torchrun:4", gpus=0) == "torchrun:4"  # four processes on the CPU
    with pytest.raises(InputError, match="asked from one process"):
        places.require_own_llm("ray", "remote")


def test_each_gpu_is_a_lane_and_what_takes_several_waits_for_all_of_them():
    def lanes(on: str) -> tuple[str, ...]:
        return lanes_of(GenerateSpec(GenerationConfig(), on=on), gpus=8)

    each = [lanes(f"gpu:{number}") for number in range(8)]
    assert len(set(each)) == 8 and all(len(taken) == 1 for taken in each)
    assert each[0] == lanes("local") == ("models",)
    assert lanes_of(TrainSpec(TrainConfig(), "run", "s", on="torchrun:4"), gpus=8) == (
        *("models", "cuda:1", "cuda:2", "cuda:3"),
    )
    assert lanes("gpu:3,0,5") == ("models", "cuda:3", "cuda:5")
    assert set(lanes("ray")) == {lane for taken in each for lane in taken}
    assert lanes("ray:10.0.0.1:6379") == ("ray:10.0.0.1:6379",)


def test_jobs_on_two_gpus_run_side_by_side_and_one_over_both_waits(workspace, monkeypatch):
    """With a pretended number of GPUs: the workers of this test compute nothing."""
    monkeypatch.setattr(places, "gpu_count", lambda: 2)
    endless = '{"count": 100000, "delay_s": 0.2}'
    first = workspace.jobs.submit(GenerateSpec(GenerationConfig(), origin=endless))
    second = workspace.jobs.submit(GenerateSpec(GenerationConfig(), origin=endless, on="gpu:1"))
    both = workspace.jobs.submit(GenerateSpec(GenerationConfig(), origin='{"count": 4}', on="ray"))
    wait_for(lambda: {workspace.jobs.get(job).state for job in (first, second)} == {"running"})
    workspace.jobs.cancel(first)
    assert workspace.wait(first, timeout_s=60).state == "cancelled"
    workspace.jobs.tick()
    assert workspace.jobs.get(both).state == "queued"  # its first lane is free, its second is not
    workspace.jobs.cancel(second)
    assert workspace.wait(both, timeout_s=60).state == "finished"


def test_workers_are_started_as_the_place_says(tmp_path):
    assert places.command("local", tmp_path)[1:3] == ["-m", "workbench.jobs.worker"]
    several = places.command("torchrun:3", tmp_path)
    assert "--nproc-per-node=3" in several and several[-2:] == ["workbench.jobs.worker", str(tmp_path)]
    assert places.environment("gpu:3") == {"CUDA_VISIBLE_DEVICES": "3"}
    assert places.environment("gpu:2,0") == {"CUDA_VISIBLE_DEVICES": "0,2"}
