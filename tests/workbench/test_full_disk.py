"""A disk that fills up in the middle of a job: one clear sentence, nothing lost, resume when there is room."""

import shutil
import subprocess

import pandas as pd
import pytest
from stand_ins import generating

from pipeline.records import StorageError
from tests.workbench.processes import wait_for
from workbench.actions import ACTIONS
from workbench.jobs.folder import JobFolder
from workbench.journal import read_rows
from workbench.store.decisions import Decision
from workbench.workspace import Workspace

ROWS = 12_000


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=5m", "none", str(folder)], capture_output=True
    )
    if not mounted or mounted.returncode:
        pytest.skip("needs the right to mount a small tmpfs")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def enlarge(folder):
    subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)


def test_full_disk_and_room_again(small_disk, stand_in):
    with Workspace(small_disk / "ws") as workspace:
        job_id = workspace.jobs.submit(generating(batch=64, count=ROWS))
        view = workspace.wait(job_id, timeout_s=60)
        assert view.state == "failed"
        assert view.message.startswith("The disk that holds ") and view.message.endswith("free space and resume.")
        folder = JobFolder(small_disk / "ws" / "jobs" / job_id)
        saved = [row["triplet_id"] for row in read_rows(folder.journal)]
        assert 0 < len(saved) < ROWS
        assert folder.journal.read_bytes().endswith(b"\n")
        with pytest.raises(StorageError, match="full"):
            text = pd.DataFrame({"premise_id": ["p"] * 5000, "text": ["y" * 1000] * 5000})
            workspace.store.premises.add_corpus("big", "paste", text, {}, 0)
        assert not list((small_disk / "ws" / "imports").iterdir())
        enlarge(small_disk)
        workspace.jobs.resume(job_id)
        assert workspace.wait(job_id, timeout_s=60).state == "finished"
        assert workspace.store.counts()["triplets"] == ROWS
        assert [row["triplet_id"] for row in read_rows(folder.journal)][: len(saved)] == saved
        workspace.store.decisions.append([Decision(saved[0], "accept")])
    with Workspace(small_disk / "ws") as workspace:
        assert workspace.store.counts()["triplets"] == ROWS
        assert workspace.store.overview()["decided"] == 1


def test_decision_on_a_full_disk_is_refused_with_a_sentence(small_disk, stand_in):
    with Workspace(small_disk / "ws") as workspace:
        job_id = workspace.jobs.submit(generating(count=4))
        workspace.wait(job_id, timeout_s=20)
        filler = small_disk / "filler"
        with pytest.raises(OSError, match="No space left"), filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        with pytest.raises(StorageError, match="is full"):
            workspace.store.decisions.append([Decision(f"{job_id}-p0", "accept", reason="r" * 20_000)])
        filler.unlink()
        workspace.store.decisions.append([Decision(f"{job_id}-p0", "reject")])
        assert workspace.store.decisions.latest()["action"].tolist() == ["reject"]


def fill(folder):
    if (folder / "filler").exists():
        return
    with pytest.raises(OSError, match="No space left"), (folder / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


@pytest.mark.parametrize("kind", ["premises", "triplets"])
def test_an_import_cut_between_journal_and_commit_comes_by_itself_and_once(small_disk, tmp_path, monkeypatch, kind):
    lines = [f"Sentence number {i} of a corpus." for i in range(5000)]
    file = tmp_path / f"{kind}.csv"
    triplets = ["sent0,sent1,hard_neg", *(f"{line},So {line},Not {line}" for line in lines)]
    file.write_text("\n".join(["premise", *lines] if kind == "premises" else triplets))
    run = ACTIONS["import_premises" if kind == "premises" else "import_triplets"]
    with Workspace(small_disk / "ws") as workspace:
        ingest_all = workspace.store.journals.ingest_all
        monkeypatch.setattr(workspace.store.journals, "ingest_all", lambda *a: (fill(small_disk), ingest_all(*a))[1])
        with pytest.raises(StorageError, match="is full"):
            run(workspace, path=str(file))
        monkeypatch.undo()
        (small_disk / "filler").unlink()
        enlarge(small_disk)
        wait_for(lambda: workspace.store.overview()[kind] == 5000)
        again = run(workspace, path=str(file))
        assert again[kind] == 5000 and workspace.store.overview()[kind] == 5000
        assert len(list((small_disk / "ws" / "imports").iterdir())) == 1
    with Workspace(small_disk / "ws") as workspace:
        assert workspace.store.overview()[kind] == 5000
