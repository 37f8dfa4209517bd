"""Tasks fetched from a hub on this machine by a real worker, and the refusal without one."""

import gzip
import json
from pathlib import Path

import pytest

from pipeline.evaluation.hub_tasks import RETRIEVAL_ON_HUB, STS_ON_HUB, fetch_sts, pairs_digest, sick_test_pairs
from pipeline.evaluation.own_pairs import ScoredPair
from pipeline.evaluation.retrieval import find_retrieval, read_retrieval
from pipeline.evaluation.sts import find_tasks, read_task
from pipeline.records import InputError
from tests.stand_in_hub import stand_in_hub
from workbench.actions import ACTIONS
from workbench.workspace import Workspace

WAIT_S = 180
STS, NANO = STS_ON_HUB["STS16"], RETRIEVAL_ON_HUB["NanoSciFact"]
CARD = "---\nconfigs:\n" + "".join(
    f"- config_name: {name}\n  data_files:\n  - split: train\n    path: {name}/train.jsonl\n"
    for name in ("corpus", "default", "queries")
)


def lines(rows) -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def pairs(count):
    return [{"sentence1": f"A  dog {n}.", "sentence2": f"A cat {n}.", "score": n % 6} for n in range(count)]


@pytest.fixture
def repositories():
    nano = {
        "README.md": f"{CARD}---\n".encode(),
        "corpus/train.jsonl": lines({"_id": f"d{n}", "text": f"document {n}"} for n in range(NANO.rows)),
        "queries/train.jsonl": lines([{"_id": "q1", "text": "document seven"}]),
        "default/train.jsonl": lines([{"query-id": "q1", "corpus-id": "d7", "score": 1}]),
    }
    return {
        (STS.repository, STS.revision): {"test.jsonl.gz": gzip.compress(lines(pairs(STS.rows)))},
        (NANO.repository, NANO.revision): nano,
    }


@pytest.fixture
def workspace(own_workspace: Path):
    with Workspace(own_workspace) as opened:
        yield opened


def fetch(workspace: Workspace, kind: str, *tasks: str):
    started = ACTIONS["start_fetch"](workspace, kind=kind, tasks=list(tasks))
    return workspace.wait(started["job_id"], timeout_s=WAIT_S), Path(started["folder"])


def test_tasks_come_into_the_workspace_once_and_what_the_hub_lacks_is_named(
    workspace: Workspace, repositories, tmp_path: Path, monkeypatch
):
    with stand_in_hub(repositories) as (address, asked):
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
        job, folder = fetch(workspace, "sts", "STS16", "STS13")
        assert job.state == "finished", job.message
        assert "1 of 2 tasks are here" in job.message and "mteb/sts13-sts could not be fetched" in job.message
        files = [line for line in asked if f"{STS.repository}/resolve/" in line]
        assert files and all(f"/resolve/{STS.revision}/" in line for line in files)
        before = [line for line in asked if STS.repository in line]
        nano_job, nano_folder = fetch(workspace, "retrieval", "NanoSciFact")
        assert nano_job.state == "finished", nano_job.message
        again, _ = fetch(workspace, "sts", "STS16")
        assert again.state == "finished"
        assert [line for line in asked if STS.repository in line] == before, "a task that is here is not asked for"
    [(name, path)] = find_tasks(folder).items()
    task = read_task(name, path)
    assert (name, len(task), task.sentence1[3], task.gold[3]) == ("STS16", STS.rows, "A dog 3.", 3.0)
    assert json.loads((folder / "sources.json").read_text())["STS16"]["revision"] == STS.revision
    [(name, path)] = find_retrieval(nano_folder).items()
    nano = read_retrieval(name, path)
    assert (name, len(nano.corpus), nano.relevant) == ("NanoSciFact", NANO.rows, {"q1": {"d7": 1}})


def test_without_a_network_the_job_ends_with_one_sentence(workspace: Workspace, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    job, folder = fetch(workspace, "sts")
    assert job.state == "failed" and job.message.startswith("The hub cannot be reached")
    assert list(folder.iterdir()) == []


def test_only_tasks_that_are_known_are_fetched(workspace: Workspace):
    with pytest.raises(InputError, match="no task 'STS99'"):
        ACTIONS["start_fetch"](workspace, kind="sts", tasks=["STS99"])
    with pytest.raises(InputError, match="choose sts or retrieval"):
        ACTIONS["start_fetch"](workspace, kind="other")


def test_another_count_than_the_published_one_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="1,185 pairs of STS16 where 1,186"):
        fetch_sts("STS16", tmp_path, lambda *_: pairs(1185))
    assert not list(tmp_path.glob("*.tsv"))
    with pytest.raises(InputError, match="no task 'STS99'"):
        fetch_sts("STS99", tmp_path, lambda *_: [])


def test_sick_is_cut_to_its_test_pairs_wherever_they_stand(shared_data: Path):
    def read(part):
        task = read_task(f"SICKR-{part}", shared_data / "sts" / f"SICKR-{part}.tsv")
        return [ScoredPair(*row) for row in zip(task.sentence1, task.sentence2, task.gold, strict=True)]

    train, trial, test = (read(part) for part in ("train", "dev", "test"))
    assert (len(train), len(trial), len(test)) == (4500, 500, 4927)
    for order in ((train, trial, test), (test, train, trial), (trial, test, train), (trial, train, test)):
        found = sick_test_pairs([pair for part in order for pair in part])
        assert found == test and pairs_digest(found) == pairs_digest(reversed(test))
    with pytest.raises(InputError, match="could not be told apart"):
        sick_test_pairs([*train[1:], *trial, *test, train[0]])
