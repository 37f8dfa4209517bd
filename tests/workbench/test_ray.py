"""Jobs on a Ray cluster of two nodes on this machine: nothing is lost or doubled when nodes and drivers die."""

import os
import signal
from collections import Counter

import pytest
from store_samples import premises

from pipeline.config import GenerationConfig
from pipeline.generation.llms.registry import EMBEDDED_ENTRY
from tests.ray_cluster import Nodes, ray_nodes
from tests.workbench.processes import wait_for, worker_of
from workbench.jobs.kinds import GenerateSpec, JudgeSpec
from workbench.journal import read_rows
from workbench.workspace import Workspace

pytest.importorskip("ray", reason="needs the extra ray: pip install 'multicsr-workbench[ray]'")

TEXTS = (
    "A man is playing a guitar.",
    "The river is high after the storm.",
    "Two children run across the field.",
    "She bought a red bicycle yesterday.",
)


@pytest.fixture(scope="module")
def nodes():
    with ray_nodes(2) as opened:
        yield opened


@pytest.fixture
def own(tmp_path):
    with Workspace(tmp_path / "ws") as opened:
        yield opened


def rows_of(workspace: Workspace, job_id: str, table: str = "triplets") -> list[dict]:
    return [row for row in read_rows(workspace.root / "jobs" / job_id / "journal.jsonl") if row["table"] == table]


def test_a_node_and_the_driver_are_killed_and_every_row_is_written_once(nodes: Nodes, own: Workspace, monkeypatch):
    monkeypatch.setenv("MULTICSR_TEST_HANDLERS", "tests.workbench.ray_handlers")
    count = 800
    spec = GenerateSpec(GenerationConfig(), on=f"ray:{nodes.address}")
    job_id = own.jobs.submit(spec, premises(count), title="on two nodes")

    def at_work() -> list[float]:
        found = own.jobs.get(job_id).details.get("cluster", {}).get("nodes", {})
        return [node["rows"] for node in found.values() if node["rows"]]

    wait_for(lambda: len(at_work()) == 2, timeout_s=240)
    nodes.kill(nodes.workers[0])  # the other one and a driver that starts again do its rows
    wait_for(lambda: own.jobs.get(job_id).details["cluster"]["lost_actors"], timeout_s=240)
    written = len(rows_of(own, job_id))
    os.kill(worker_of(own.root, job_id), signal.SIGKILL)
    assert own.wait(job_id, timeout_s=60).state == "interrupted"
    assert 0 < written <= len(rows_of(own, job_id)) < count
    own.jobs.resume(job_id)
    view = own.wait(job_id, timeout_s=300)
    assert (view.state, view.done) == ("finished", count), own.jobs.log(job_id)
    assert set(Counter(row["premise_id"] for row in rows_of(own, job_id)).values()) == {1}
    assert len(rows_of(own, job_id)) == own.store.counts()["triplets"] == count


def test_a_paused_job_leaves_the_cluster_and_goes_on(nodes: Nodes, own: Workspace, monkeypatch):
    monkeypatch.setenv("MULTICSR_TEST_HANDLERS", "tests.workbench.ray_handlers")
    spec = GenerateSpec(GenerationConfig(), on=f"ray:{nodes.address}")
    job_id = own.jobs.submit(spec, premises(200))
    wait_for(lambda: rows_of(own, job_id), timeout_s=240)
    own.jobs.pause(job_id)
    assert own.wait(job_id, timeout_s=60).state == "paused"
    own.jobs.resume(job_id)
    assert own.wait(job_id, timeout_s=240).state == "finished", own.jobs.log(job_id)
    assert len({row["premise_id"] for row in rows_of(own, job_id)}) == len(rows_of(own, job_id)) == 200


def test_the_embedded_llm_and_a_judge_give_on_nodes_what_they_give_here(nodes: Nodes, own: Workspace):
    asked = premises(len(TEXTS))
    asked["text"] = TEXTS
    spec = GenerateSpec(GenerationConfig(omega=0.4, max_new_tokens=12), llm=EMBEDDED_ENTRY)
    here = own.jobs.submit(spec, asked)
    there = own.jobs.submit(GenerateSpec(spec.config, llm=EMBEDDED_ENTRY, on=f"ray:{nodes.address}"), asked)
    for job_id in (here, there):
        assert own.wait(job_id, timeout_s=300).state == "finished", own.jobs.log(job_id)
    wanted = {row["premise_id"]: row for row in rows_of(own, here)}
    found = {row["premise_id"]: row for row in rows_of(own, there)}
    for name in ("positive_raw", "hard_negative_raw", "text_key"):
        assert {key: row[name] for key, row in found.items()} == {key: row[name] for key, row in wanted.items()}

    taken = GenerateSpec(spec.config, llm=EMBEDDED_ENTRY, earlier=(here,), on=f"ray:{nodes.address}")
    again = own.jobs.submit(taken, asked)
    view = own.wait(again, timeout_s=240)
    assert view.details["reused"] == len(TEXTS) and "cluster" not in view.details  # no node loaded the LLM

    texts = own.store.final_sets.texts([here])
    judges = {}
    for on in ("local", f"ray:{nodes.address}"):
        job_id = own.jobs.submit(JudgeSpec(("likelihood:smollm2-135m",), (here,), on=on), texts)
        assert own.wait(job_id, timeout_s=300).state == "finished", own.jobs.log(job_id)
        judges[on] = {row["triplet_id"]: [row["a_raw"], row["b_raw"]] for row in rows_of(own, job_id, "judgements")}
    here_raw, there_raw = judges.values()
    assert here_raw and here_raw.keys() == there_raw.keys()
    for key, raw in here_raw.items():
        assert there_raw[key] == pytest.approx(raw, abs=1e-5)
