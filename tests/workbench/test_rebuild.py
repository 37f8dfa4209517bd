import threading
from random import Random

import duckdb
import pandas as pd
import pytest
from stand_ins import generating, judging
from store_samples import add_import, dump, premises, triplet_row

from pipeline.config import CurationRule
from pipeline.curation.calibration import Calibration
from pipeline.records import InputError
from workbench.cli.main import main
from workbench.doctor.checks import database
from workbench.doctor.probe import ProbeResult, probe_database
from workbench.store import Store
from workbench.store.connection import run
from workbench.store.decisions import Decision
from workbench.store.filters import TripletFilter
from workbench.store.store import MIGRATIONS
from workbench.workspace import Workspace, rebuild

CURVE = Calibration("j", "v1", (0.0, 1.0), (0.0, 5.0), 0.6, 0.5, "gold", 80, 20)


@pytest.fixture
def filled(workspace):
    """A workspace with something in every table; returns its dump."""
    store, jobs = workspace.store, workspace.jobs
    store.premises.add_corpus("captions", "captions.txt", premises(20), {"empty line": 2}, duplicates=3)
    texts = pd.DataFrame({"premise_id": ["a"], "premise": ["A"], "positive": ["P"], "hard_negative": ["N"]})
    imported = add_import(store, "mine", "mine.jsonl", texts)
    attempt = jobs.submit(generating(batch=3), premises(30), title="first attempt")
    workspace.wait(attempt, timeout_s=20)
    rows = [{"table": "judgements", "triplet_id": f"{attempt}-p{i}", "judge_id": "j", "a": i % 5, "b": 1.0}
            for i in range(30)]  # fmt: skip
    rows += [
        {"table": "train_steps", "run_id": "r", "step": 1, "steps": 2, "loss": 0.5},
        {"table": "encoders", "encoder_id": "e", "name": "E", "folder": "out/model", "created_at": "2026"},
        {"table": "scores", "encoder_id": "e", "task": "STS12", "spearman": 0.5, "pairs": 10, "job_id": "x"},
        {"table": "llms", "check_id": "c", "name": "L", "entry": {"name": "L", "kind": "gguf", "location": "x.gguf"}},
        {
            "table": "premise_attempts",
            "corpus_id": "s",
            "topic": "dogs",
            "genre": "news",
            "asked": "short",
            "number": 0,
        },
        {"table": "llm_usage", "attempt_id": "r", "number": 2, "calls": 2, "money": 0.5},
        {"table": "projections", "projection_id": "p", "encoder_id": "e", "method": "pca", "points": 3},
        {"table": "calibrations", "judge_id": "j", "calibration": CURVE.to_json(), "points": [[0.5, 2.0]]},
        triplet_row("extra"),
    ]
    for how in ("rows", "rows", "input"):
        workspace.wait(jobs.submit(judging(how, rows)), timeout_s=20)
    store.decisions.append([Decision(f"{attempt}-p1", "edit", positive="new", annotator="ann")])
    store.decisions.append([Decision("extra", "swap", annotator="ann"), Decision(f"{imported}-0", "accept")])
    store.decisions.undo("ann")
    store.snapshots.create("frozen", [attempt], "j", CurationRule(), store.triplets.rows(TripletFilter()))
    before = dump(store)
    empty = [name for name, table in before.items() if not table]
    assert empty == []
    return before


def test_rebuilt_database_is_equal_row_for_row(workspace, filled):
    root = workspace.root
    workspace.close()
    (root / "state.duckdb").write_bytes(b"overwritten by accident " * 1000)
    with pytest.raises(InputError, match="rebuild"):
        Workspace(root).open()
    rebuilt = rebuild(root)
    assert rebuilt.rows == {name: len(rows) for name, rows in filled.items()}
    assert rebuilt.left_out == []
    with Store(root / "state.duckdb") as store:
        assert dump(store) == filled
    assert list(root.glob("*replaced*.duckdb"))  # the old file is kept


def test_a_rebuild_says_what_it_left_out(workspace, filled):
    root, before = workspace.root, workspace.store.counts()
    workspace.close()
    log = root / "decisions.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(lines[0] + lines[1][:40] + b"\n" + b"".join(lines[2:]) + b'{"table": "decis')
    imported = next(path for path in (root / "imports").glob("*.jsonl") if b"corpus" in path.read_bytes())
    imported.write_bytes(b"\0" * 30 + b"\n" + imported.read_bytes())
    (root / "snapshots" / "zz.json").write_bytes(b"")
    rebuilt = rebuild(root)
    told = {sentence.split(": ")[0]: sentence for sentence in rebuilt.left_out}
    assert told[str(log)] == f"{log}: line 2; 16 bytes after the last line end."
    assert told[str(imported)] == f"{imported}: line 1."
    assert any("zz.json" in sentence for sentence in rebuilt.left_out) and len(rebuilt.left_out) == 3
    assert rebuilt.rows["premises"] == before["premises"]
    assert rebuilt.rows["decision_batches"] == before["decision_batches"] - 1


def test_what_a_killed_backup_or_rebuild_left_is_removed(workspace):
    root = workspace.root
    workspace.close()
    (root / "jobs" / ".a-job.0a.unfinished" / "out").mkdir(parents=True)
    for name in (".backup-0a.duckdb", ".backup-0a.duckdb.wal", "state.rebuilt.duckdb", "snapshots/.s.0a.unfinished"):
        (root / name).write_bytes(b"x")
    for _ in range(3):
        rebuild(root)
    Workspace(root).open().close()
    patterns = ("*.unfinished", ".backup-*", "state.rebuilt*")
    assert [path for pattern in patterns for path in root.rglob(pattern)] == []
    assert len(list(root.glob("*-replaced-*.duckdb"))) == 1


@pytest.mark.parametrize("folder", ["absent", "", "other"])
def test_only_a_workspace_is_rebuilt(tmp_path, folder):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match="workspace"):
        rebuild(tmp_path / folder)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["other", "thesis.txt"]


def damage(path, kind):
    """Spoil the file behind its header (three blocks of 4 KiB)."""
    data = bytearray(path.read_bytes())
    if kind == "short":
        data = data[: 12_288 + (len(data) - 12_288) // 2]
    else:
        numbers = Random(kind)
        for _ in range(60):
            data[numbers.randrange(12_288, len(data))] ^= 0xFF
    path.write_bytes(data)


def test_damage_behind_the_header_is_one_sentence_and_rebuild_helps(workspace, filled, capfd):
    root = workspace.root
    workspace.close()
    whole, refused = (root / "state.duckdb").read_bytes(), 0
    for kind in ("short", 1, 2, 3):
        (root / "state.duckdb").write_bytes(whole)
        damage(root / "state.duckdb", kind)
        answer = probe_database(str(root / "state.duckdb"))
        assert database(root, ProbeResult(answer)).state == "error"
        for command in (["curate", "list"], ["backup", str(root.parent / f"copy-{kind}")]):
            status = main([*command, "--workspace", str(root)])
            told = capfd.readouterr().err
            assert status in (0, 2) and "Traceback" not in told, told
            refused += status == 2
            assert status == 0 or ("rebuild" in told and "state.duckdb" in told), told
    assert refused >= 4
    assert rebuild(root).rows == {name: len(rows) for name, rows in filled.items()}


def test_work_goes_on_after_a_rebuild(workspace, filled):
    root = workspace.root
    workspace.close()
    rebuild(root)
    with Workspace(root) as again:
        assert dump(again.store)["triplets"] == filled["triplets"]
        job_id = again.jobs.submit(generating(), premises(10))
        assert again.wait(job_id, timeout_s=20).state == "finished"
        assert again.store.decisions.undo("ann") is not None
        assert len(again.store.snapshots.rows(again.store.snapshots.list()[0].snapshot_id)) == 32


def test_rebuild_of_an_open_workspace_is_refused(workspace):
    with pytest.raises(InputError, match="in use by process"):
        rebuild(workspace.root)


def test_backup_is_whole_while_rows_come_in(workspace, filled, tmp_path):
    """Each write adds a row to two tables; a torn copy would hold different numbers of them."""
    stop = threading.Event()

    def write():
        while not stop.is_set():
            with workspace.store.database.write() as cursor:
                workspace.store.triplets.insert(cursor, [triplet_row(f"live {id(object())} {write.count}")])
                workspace.store.encoders.insert(cursor, [{"encoder_id": f"live {write.count}"}])
            write.count += 1

    write.count = 0
    thread = threading.Thread(target=write)
    thread.start()
    try:
        target = workspace.store.backup(tmp_path / "copy.duckdb")
    finally:
        stop.set()
        thread.join()
    assert write.count > 0
    copy = duckdb.connect(str(target), read_only=True)
    live = [copy.execute(f"SELECT count(*) FROM {table} WHERE {key} LIKE 'live%'").fetchall()
            for table, key in (("triplets", "triplet_id"), ("encoders", "encoder_id"))]  # fmt: skip
    assert live[0] == live[1]
    assert sorted(copy.execute("SELECT * FROM decisions").fetchall(), key=repr) == filled["decisions"]
    copy.close()
    with pytest.raises(duckdb.Error):  # the copy's name is gone from the live database
        with workspace.store.database.exclusive() as cursor:
            run(cursor, "SELECT * FROM backup_copy.triplets")
    assert not list(workspace.root.glob(".backup*"))


def test_backup_opens_as_a_workspace_of_its_own(workspace, filled, tmp_path):
    (tmp_path / "restored").mkdir()
    workspace.store.backup(tmp_path / "restored" / "state.duckdb")
    with Store(tmp_path / "restored" / "state.duckdb") as restored:
        assert dump(restored) == filled
        restored.premises.add_corpus("more", "paste", premises(2), {}, 0)  # keys came along with the rows


@pytest.mark.parametrize("name", ["", "missing/copy.duckdb", "ws/state.duckdb"])
def test_backup_needs_a_place(workspace, tmp_path, name):
    with pytest.raises(InputError):
        workspace.store.backup(tmp_path / name)
    assert workspace.store.counts()["migrations"] == len(MIGRATIONS)


def test_changed_snapshot_is_refused(workspace, filled):
    [snapshot] = workspace.store.snapshots.list()
    path = workspace.root / "snapshots" / snapshot.file
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match="changed after"):
        workspace.store.snapshots.rows(snapshot.snapshot_id)
    path.unlink()
    with pytest.raises(InputError, match="missing"):
        workspace.store.snapshots.rows(snapshot.snapshot_id)
