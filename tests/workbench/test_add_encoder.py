"""Encoders trained elsewhere are taken in by their folder, and survive a rebuild."""

import json
import os

import pytest

from pipeline.records import InputError, WeightsError
from pipeline.studies.run import tiny_bert
from workbench.actions.models import add_encoder, find_encoder
from workbench.workspace import Workspace


@pytest.fixture
def folder(tmp_path):
    """A folder that looks like a sentence-transformers model; what its weights are is seen when it is loaded."""
    made = tmp_path / "my model"
    made.mkdir()
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.StaticEmbedding"}]
    (made / "modules.json").write_text(json.dumps(modules))
    (made / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")  # a whole file without tensors
    return made


def test_it_is_found_by_name_and_added_once(workspace, folder):
    made = add_encoder(workspace, folder=str(folder), name="  theirs  ")
    assert made["name"] == "theirs"
    assert find_encoder(workspace, "theirs").folder == str(folder)
    assert add_encoder(workspace, folder=str(folder)) == made
    assert len(workspace.store.encoders.list()) == 1
    root = workspace.root
    workspace.close()
    (root / "state.duckdb").unlink()
    again = Workspace(root).open()
    try:
        assert [encoder.name for encoder in again.store.encoders.list()] == ["theirs"]
    finally:
        again.close()


def test_a_name_that_is_taken_and_folders_that_are_no_model_are_refused(workspace, folder, tmp_path):
    for name in ("static-minilm", "theirs"):
        other = tmp_path / f"copy {name}"
        other.mkdir()
        for file in folder.iterdir():
            (other / file.name).write_bytes(file.read_bytes())
        if name == "theirs":
            add_encoder(workspace, folder=str(folder), name=name)
        with pytest.raises(InputError, match=r"called .* already; give this one another name"):
            add_encoder(workspace, folder=str(other), name=name)
    for missing in ("", "  ", str(tmp_path / "absent")):
        with pytest.raises(InputError, match="There is no folder"):
            add_encoder(workspace, folder=missing)
    with pytest.raises(InputError, match="holds no model"):
        add_encoder(workspace, folder=str(tmp_path))
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="pickle"):
        add_encoder(workspace, folder=str(folder), name="new")
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps([modules[0] | {"type": "custom.Evil"}]))
    with pytest.raises(InputError, match="only stock modules"):
        add_encoder(workspace, folder=str(folder), name="new")


def test_the_command_line_adds_and_lists_an_encoder_that_can_then_be_used_by_name(own_workspace, workbench, tmp_path):
    folder, tasks = tiny_bert(tmp_path / "tiny bert"), tmp_path / "tasks"
    tasks.mkdir()
    pairs = (
        "a\t5\tA dog runs.\tA dog is running.",
        "a\t1\tA dog runs.\tThe bank closed.",
        "a\t3\tIt snows.\tIt rains.",
    )
    (tasks / "mine.tsv").write_text("\n".join(("subset\tscore\tsentence1\tsentence2", *pairs)) + "\n")

    def run(*arguments):
        return workbench(*arguments, COLUMNS="200")

    added = run("encoders", "add", os.path.relpath(folder), "--name", "theirs")
    assert added.returncode == 0, added.stderr
    assert "theirs is an encoder of the workspace" in added.stdout
    listed = run("encoders", "list", "--json", tmp_path / "found.json")
    assert "theirs" in listed.stdout and str(folder) in listed.stdout
    found = {row["name"]: row for row in json.loads((tmp_path / "found.json").read_text())["encoders"]}
    assert {name: row["origin"] for name, row in found.items()} == {
        "all-MiniLM-L6-v2": "built in",
        "static-minilm": "built in",
        "smollm2-135m": "built in",
        "static-minilm-unweighted": "built in",
        "theirs": "added",
    }
    assert found["theirs"]["folder"] == str(folder)
    scored = run("evaluate", "--encoder", "theirs", "--sts-dir", tasks, "--workspace", own_workspace)
    assert scored.returncode == 0, scored.stderr
    for bad, told in (
        (tmp_path / "absent", "There is no folder"),
        (tasks, "holds no model"),
        ("", "There is no folder"),
    ):
        refused = run("encoders", "add", bad)
        assert refused.returncode == 2
        assert told in refused.stderr and refused.stderr.count(". ") == 0, "one sentence"
        assert "Traceback" not in refused.stderr and refused.stderr.rstrip().endswith(".")
