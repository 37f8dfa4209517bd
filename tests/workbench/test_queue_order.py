"""The order of waiting jobs, the lanes they wait for, and ending a run early with what it has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stand_ins import generating
from store_samples import premises

from pipeline.records import InputError
from pipeline.train_config import TrainConfig
from tests.workbench.processes import wait_for
from workbench.jobs.folder import Status
from workbench.jobs.kinds import TrainSpec
from workbench.jobs.runner import lane_of, next_first, reordered


def start(workspace, count=40, **settings):
    return workspace.jobs.submit(generating(batch=4, **settings), premises(count), title="a run")


TIMES = ("2026-01-01T00:00:00.000+00:00", "2026-01-01T00:00:00.001+00:00", "2026-01-01T00:00:09.000+00:00")


@given(st.lists(st.sampled_from(TIMES), min_size=1, max_size=6), st.data())
def test_moving_a_job_is_moving_an_item_of_a_list(times, data):
    statuses = {f"job{number}": Status(queued_at=time) for number, time in enumerate(times)}
    statuses["running"] = Status(state="running", queued_at=TIMES[0])
    order = next_first(statuses)
    assert "running" not in order
    job, places = data.draw(st.sampled_from(order)), data.draw(st.integers(-7, 7))
    wanted = [other for other in order if other != job]
    wanted.insert(max(0, min(order.index(job) + places, len(wanted))), job)
    given_anew = reordered(statuses, job, places)
    assert next_first({job: Status(queued_at=time) for job, time in given_anew.items()}) == wanted


def test_a_waiting_job_is_moved_up_and_starts_first(workspace):
    running = start(workspace, 60, delay_s=0.1)
    second, third = start(workspace, 4), start(workspace, 4)
    wait_for(lambda: workspace.jobs.get(running).state == "running")
    assert workspace.jobs.waiting(generating()) == [second, third]
    workspace.jobs.move(third, -1)
    assert workspace.jobs.waiting(generating()) == [third, second]
    workspace.jobs.cancel(running)
    wait_for(lambda: workspace.jobs.get(second).state == "finished")
    assert workspace.jobs.get(third).finished_at <= workspace.jobs.get(second).started_at
    with pytest.raises(InputError, match="no longer waiting"):
        workspace.jobs.move(third, 1)


def test_a_run_is_ended_early_and_counts_as_finished(workspace):
    job = start(workspace, 400, delay_s=0.05)
    with pytest.raises(InputError, match="nothing to keep"):
        workspace.jobs.finish(start(workspace, 4))
    wait_for(lambda: workspace.jobs.get(job).done > 4)
    workspace.jobs.finish(job)
    wait_for(lambda: workspace.jobs.get(job).state == "finished")
    assert 4 < workspace.jobs.get(job).done < 400


def test_a_paused_run_is_kept_by_going_on_for_a_moment(workspace):
    job = start(workspace, 400, delay_s=0.05)
    wait_for(lambda: workspace.jobs.get(job).done > 4)
    workspace.jobs.pause(job)
    wait_for(lambda: workspace.jobs.get(job).state == "paused")
    done = workspace.jobs.get(job).done
    workspace.jobs.finish(job)
    wait_for(lambda: workspace.jobs.get(job).state == "finished")
    assert done <= workspace.jobs.get(job).done < 400


def test_each_further_gpu_has_a_queue_of_its_own():
    configs = [TrainConfig(device=device) for device in ("auto", "cpu", "cuda:0", "cuda:1")]
    lanes = [lane_of(TrainSpec(config, "a run", "a snapshot")) for config in configs]
    assert lanes == ["models", "models", "models", "cuda:1"]
    assert lane_of(generating()) == "models"
