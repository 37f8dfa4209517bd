"""The one writer: whole or not at all, on the disk, with the user's own file modes."""

import ast
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline import durable
from pipeline.records import Triplet

PROJECT = Path(__file__).parents[2]
MOVES = {
    "pipeline.durable": "the writer itself",
    "pipeline.dataset_folder": "numbers the parts inside a draft",
    "workbench.workspace": "puts the old database aside",
    "workbench.jobs.ray_rows": "a folder for Ray's sockets, which renames nothing",
}
"""Modules that may rename a file, each with its reason."""
FORMS = {
    "bytes": lambda path: durable.write_bytes(path, b"\x00\xff"),
    "text": lambda path: durable.write_text(path, "Größe"),
    "json": lambda path: durable.write_json(path, {"a": "é"}),
    "array": lambda path: durable.write_array(path, np.arange(6.0).reshape(2, 3)),
    "table": lambda path: durable.write_table(path, pd.DataFrame({"a": [1, 2]})),
}
READ = {
    "bytes": lambda path: path.read_bytes() == b"\x00\xff",
    "text": lambda path: path.read_bytes() == b"Gr\xc3\xb6\xc3\x9fe",
    "json": lambda path: json.loads(path.read_bytes()) == {"a": "é"},
    "array": lambda path: np.load(path).tolist() == [[0, 1, 2], [3, 4, 5]],
    "table": lambda path: pd.read_parquet(path)["a"].tolist() == [1, 2],
}


@pytest.fixture(params=[0o022, 0o077, 0o002])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_writes_what_it_was_given_over_what_was_there(form, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    FORMS[form](path)
    assert READ[form](path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("form", FORMS)
def test_file_modes_follow_the_umask(form, tmp_path, umask):
    FORMS[form](tmp_path / "file")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~umask


def test_a_folder_and_its_files_follow_the_umask_too(tmp_path, umask):
    with durable.whole_folder(tmp_path / "folder") as draft:
        (draft / "a").write_text("a")
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o777 & ~umask
    assert stat.S_IMODE((tmp_path / "folder" / "a").stat().st_mode) == 0o666 & ~umask


def test_a_private_file_is_private_whatever_the_umask(tmp_path, umask):
    durable.write_bytes(tmp_path / "token", b"secret", mode=0o600)
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600


def test_after_an_error_the_old_file_is_there_and_no_draft(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), durable.whole_file(path) as stream:
        stream.write(b"half")
        raise RuntimeError
    with pytest.raises(TypeError):
        durable.write_json(path, {"no JSON": object()})
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_after_an_error_the_old_folder_is_there_and_no_draft(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "old").touch()
    with pytest.raises(RuntimeError), durable.whole_folder(folder, over=True) as draft:
        (draft / "new").touch()
        raise RuntimeError
    with pytest.raises(OSError, match="not empty"), durable.whole_folder(folder) as draft:
        (draft / "new").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "old"]
    with durable.whole_folder(folder, over=True) as draft:
        (draft / "new").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "new"]


def test_a_kill_in_the_middle_leaves_the_old_file(tmp_path):
    code = """
import os, signal, sys
from pathlib import Path
from pipeline.durable import whole_file
with whole_file(Path(sys.argv[1])) as stream:
    stream.write(b"half" * 100_000)
    stream.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    subprocess.run([sys.executable, "-c", code, str(path)], cwd=PROJECT, check=False)
    assert path.read_bytes() == b"old"
    assert [left for left in tmp_path.iterdir() if left != path] == list(tmp_path.glob(durable.DRAFTS)) != []


def test_what_is_written_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """The order of calls is what counts: sync the bytes, rename, sync the folder."""
    calls = []
    sync, replace = os.fsync, Path.replace

    def noting_sync(descriptor):
        calls.append(("sync", Path(f"/proc/self/fd/{descriptor}").readlink()))
        sync(descriptor)

    def noting_replace(path, target):
        calls.append(("rename", path))
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", noting_sync)
    monkeypatch.setattr(Path, "replace", noting_replace)
    durable.write_json(tmp_path / "file", [1])
    draft = calls[0][1]
    assert calls == [("sync", draft), ("rename", draft), ("sync", tmp_path)]
    calls.clear()
    with durable.whole_folder(tmp_path / "folder") as draft:
        (draft / "inside").mkdir()
        (draft / "inside" / "a").write_text("a")
    assert {path for kind, path in calls} == {draft, draft / "inside", draft / "inside" / "a", tmp_path}


def test_names_of_the_greatest_length_can_be_written(tmp_path):
    path = tmp_path / ("ü" * 127)  # 254 bytes of the 255 that a file system takes
    durable.write_text(path, "a")
    assert path.read_text() == "a"


@pytest.mark.parametrize("kind", [".csv", ".jsonl", ".parquet"])
def test_an_export_follows_the_umask_and_reaches_the_disk(kind, tmp_path, umask, monkeypatch):
    from pipeline.exchange import write_triplets

    synced = []
    monkeypatch.setattr(durable, "sync_file", synced.append)
    path = tmp_path / f"rows{kind}"
    write_triplets(path, [Triplet("A dog runs.", "A dog is running.", "No dog runs.")])
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    assert len(synced) == 2, "the file and its folder"


def test_files_are_renamed_in_the_writer_alone():
    """A rename by hand is a copy of the writer: os.replace, Path.replace or Path.rename with one argument."""
    found = set()
    for path in [*PROJECT.glob("pipeline/**/*.py"), *PROJECT.glob("workbench/**/*.py"), *PROJECT.glob("pages/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            called = ast.unparse(node.func)
            by_hand = node.func.attr in ("replace", "rename") and len(node.args) == 1 and not node.keywords
            if by_hand or called in ("os.replace", "os.rename", "tempfile.mkstemp", "tempfile.mkdtemp"):
                found.add(".".join(path.relative_to(PROJECT).with_suffix("").parts))
    assert found == set(MOVES)
