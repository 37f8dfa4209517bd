"""Jobs on a Ray cluster of two nodes on this machine: nothing is lost or doubled when nodes and drivers die."""

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from contextlib import closing

import numpy as np
import pandas as pd
import pytest
from store_samples import add_import, premises

from pipeline.config import GenerationConfig
from pipeline.generation.llms.registry import EMBEDDED_ENTRY
from tests.conftest import DRILL
from tests.ray_cluster import DeviceMaker, Nodes, ray_nodes
from tests.workbench.processes import wait_for, worker_of
from workbench.actions.analysis import start_margins
from workbench.actions.data import start_write_premises
from workbench.jobs.kinds import GenerateSpec, JudgeSpec
from workbench.jobs.ray_rows import RayRows
from workbench.journal import read_rows
from workbench.workspace import Workspace

pytest.importorskip("ray", reason="needs the extra ray: pip install 'multicsr-workbench[ray]'")

thorough = pytest.mark.skipif(not DRILL, reason="loads models on several nodes, which takes minutes: with DRILL=1")
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


def triplet_texts(count: int) -> pd.DataFrame:
    made = premises(count)
    sides = {"premise": made["text"], "positive": "some " + made["text"], "hard_negative": "no " + made["text"]}
    return pd.DataFrame({"premise_id": made["premise_id"]} | sides)


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


def test_premises_are_written_on_nodes_and_a_killed_driver_costs_none(nodes: Nodes, own: Workspace, monkeypatch):
    monkeypatch.setenv("MULTICSR_TEST_HANDLERS", "tests.workbench.ray_handlers")
    config = {"topics": ["rivers", "bread"], "genres": ["fact", "news"], "lengths": ["short"], "per_cell": 100}
    job_id = start_write_premises(own, config=config, on=f"ray:{nodes.address}")["job_id"]
    wait_for(lambda: len(rows_of(own, job_id, "premises")) > 40, timeout_s=240)
    os.kill(worker_of(own.root, job_id), signal.SIGKILL)
    assert own.wait(job_id, timeout_s=60).state == "interrupted"
    before = {row["premise_id"] for row in rows_of(own, job_id, "premises")}
    own.jobs.resume(job_id)
    view = own.wait(job_id, timeout_s=240)
    assert (view.state, view.done) == ("finished", 400), own.jobs.log(job_id)
    found = [row["premise_id"] for row in rows_of(own, job_id, "premises")]
    assert len(found) == len(set(found)) == own.store.premises.corpus(job_id).premises == 400 and before < set(found)
    assert sum(node["rows"] for node in view.details["cluster"]["nodes"].values()) == 400 - len(before)


@pytest.mark.drill
@thorough
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

    asked_for = {"topics": ["rivers"], "genres": ["fact"], "lengths": ["short"], "per_cell": 4, "tries": 1}
    written = {}
    for on in ("local", f"ray:{nodes.address}"):
        job_id = start_write_premises(own, config=asked_for | {"max_new_tokens": 12}, name=on, on=on)["job_id"]
        assert own.wait(job_id, timeout_s=300).state == "finished", own.jobs.log(job_id)
        written[on] = {row["number"]: row["text"] for row in rows_of(own, job_id, "premise_attempts")}
    assert len(written["local"]) == 4 and written[f"ray:{nodes.address}"] == written["local"]

    with own.store.final_sets.texts([here]) as rows:
        texts = rows.read_pandas()
    judges = {}
    for on in ("local", f"ray:{nodes.address}"):
        job_id = own.jobs.submit(JudgeSpec(("likelihood:smollm2-135m",), (here,), on=on), texts)
        assert own.wait(job_id, timeout_s=300).state == "finished", own.jobs.log(job_id)
        judges[on] = {row["triplet_id"]: [row["a_raw"], row["b_raw"]] for row in rows_of(own, job_id, "judgements")}
    here_raw, there_raw = judges.values()
    assert here_raw and here_raw.keys() == there_raw.keys()
    for key, raw in here_raw.items():
        assert there_raw[key] == pytest.approx(raw, abs=1e-5)


@pytest.mark.drill
@thorough
def test_an_encoder_embeds_on_nodes_what_it_embeds_here(nodes: Nodes, own: Workspace, tmp_path):
    add_import(own.store, "pairs", "file", triplet_texts(300))
    measured, on = {}, f"ray:{nodes.address}"
    for place in (on, "local"):
        job_id = start_margins(own, encoder="all-MiniLM-L6-v2", on=place)["job_id"]
        view = own.wait(job_id, timeout_s=300)
        assert view.state == "finished", own.jobs.log(job_id)
        measured[place] = pd.read_parquet(own.jobs.output(job_id, "margins.parquet"))
        assert ("cluster" in view.details) == (place == on)
        shutil.rmtree(own.root / "vectors")  # the second run embeds anew
    assert len(measured[on]) == 300
    for side in ("near", "far"):
        assert np.allclose(measured[on][side], measured["local"][side], atol=1e-5)


@pytest.mark.drill
@thorough
def test_each_gpu_of_a_node_has_an_actor_of_its_own():
    with ray_nodes(1, cpus=2, gpus=2) as opened, closing(RayRows(opened.address, DeviceMaker())) as pool:
        while pool.ready(2) < 2:
            pass
        found = pool.in_order(list(range(64)), lambda: False)
    assert {device for device, _ in found} == {"0", "1"} and len({process for _, process in found}) == 2


ALONE = """
import psutil
from contextlib import closing, suppress
from tests.conftest import DRILL
from tests.ray_cluster import DeviceMaker
from workbench.jobs.ray_rows import RayRows
with closing(RayRows("", DeviceMaker())) as pool:
    rows = pool.in_order(list(range(20)), lambda: False)
    me = psutil.Process()
    for process in (me, *me.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # a helper that ends meanwhile
            for socket in process.net_connections("tcp"):
                if socket.status == psutil.CONN_LISTEN:
                    print(socket.laddr.ip)
print("rows", len(rows))
"""


def test_the_cluster_of_a_single_job_listens_on_loopback_alone():
    said = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, timeout=240)
    *addresses, last = said.stdout.split("\n")[:-1]
    assert last == "rows 20", said.stderr
    assert len(addresses) > 3 and {address.removeprefix("::ffff:") for address in addresses} == {"127.0.0.1"}
