"""The embedded LLM as a job: killed in the middle twice, and still every premise has exactly one row."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from pipeline.records import text_id
from tests import warm
from tests.workbench.processes import wait_for, worker_of
from workbench.actions import ACTIONS
from workbench.jobs.folder import JobFolder
from workbench.paths import SAMPLE_PREMISES
from workbench.workspace import Workspace

PREMISES = 12


def test_a_killed_server_and_a_killed_worker_lose_and_double_nothing(
    own_workspace: Path, tmp_path: Path, command_environment
):
    premises = tmp_path / "premises.txt"
    lines = SAMPLE_PREMISES.read_text(encoding="utf-8").splitlines()[:PREMISES]
    premises.write_text("\n".join(lines), encoding="utf-8")
    command = [
        "generate",
        "--premises",
        str(premises),
        "--omega",
        "0.6",
        "--batch-size",
        "4",
        "--max-new-tokens",
        "20",
    ]
    with (tmp_path / "log").open("wb") as log:
        owner = warm.start(
            [sys.executable, "-m", "workbench", *command],
            env=command_environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    folder = wait_for(
        lambda: next((JobFolder(path.parent) for path in (own_workspace / "jobs").glob("2*/status.json")), None)
    )
    wait_for(lambda: written(folder), timeout_s=120)
    owner.kill()
    owner.wait()
    seen = written(folder)

    with Workspace(own_workspace) as workspace:
        worker = wait_for(lambda: worker_of(own_workspace, folder.path.name))
        os.kill(worker, signal.SIGKILL)  # the worker outlived its owner; now it goes too
        job_id = folder.path.name
        assert workspace.wait(job_id, timeout_s=20).state == "interrupted"
        kept = written(folder)
        assert kept[: len(seen)] == seen
        ACTIONS["resume"](workspace, job_id=job_id)
        assert workspace.wait(job_id, timeout_s=300).state == "finished"
        [attempt] = workspace.store.triplets.attempts().to_dict("records")
        counts = workspace.store.triplets.outcome_counts(job_id)

    final = written(folder)
    assert final[: len(kept)] == kept
    assert sorted(row["premise_id"] for row in final) == sorted(text_id(line) for line in lines)
    assert attempt["rows"] == PREMISES
    assert counts.groupby("side")["count"].sum().to_dict() == {"positive": PREMISES, "hard_negative": PREMISES}


def test_a_job_runs_on_the_torch_engine_and_agrees_with_llama_cpp(own_workspace: Path, monkeypatch):
    """The trial that chooses the engine may pick either: both write rows, and mostly the same greedy words."""
    texts = "A man in a blue shirt is fixing a bicycle.\nThe bakery opens at six every morning."
    config = {"omega": 0.6, "max_new_tokens": 12}
    rows, engines = {}, {}
    with Workspace(own_workspace) as workspace:
        corpus = ACTIONS["import_premises"](workspace, text=texts, name="two")["corpus_id"]
        for engine, seed in (("torch", 0), ("llama.cpp", 1)):  # greedy: the seed only keeps the runs apart
            monkeypatch.setenv("MULTICSR_ENGINE", engine)
            job_id = ACTIONS["start_generate"](workspace, corpus_id=corpus, config=config | {"seed": seed})["job_id"]
            job = workspace.wait(job_id, timeout_s=300)
            assert job.state == "finished", job.message
            engines[engine] = job.details["engine"]
            rows[engine] = {row["premise"]: row for row in written(JobFolder(workspace.root / "jobs" / job_id))}
    assert engines["torch"].startswith("torch") and engines["llama.cpp"] == "llama.cpp"
    first = [{premise: row["positive_raw"].split()[:1] for premise, row in found.items()} for found in rows.values()]
    assert first[0] == first[1], "the first words are the same"
    assert sorted(rows["torch"]) == sorted(texts.splitlines())
    assert {(row["contrast"], row["omega"]) for row in rows["torch"].values()} == {("token", 0.6)}
    assert all(row["positive_raw"].strip() and row["hard_negative_raw"].strip() for row in rows["torch"].values())


def written(folder: JobFolder) -> list[dict]:
    """Whole lines of the journal: what the worker acknowledged."""
    if not folder.journal.exists():
        return []
    whole = folder.journal.read_bytes().rpartition(b"\n")[0]
    return [json.loads(line) for line in whole.splitlines()]
