"""Encoders trained elsewhere are taken in by their folder, and survive a rebuild."""

import json

import pytest

from pipeline.errors import InputError, WeightsError
from workbench.actions.encoders import add_encoder
from workbench.actions.evaluation import find_encoder
from workbench.workspace import Workspace


@pytest.fixture
def folder(tmp_path):
    """A folder that looks like a sentence-transformers model; what its weights are is seen when it is loaded."""
    made = tmp_path / "my model"
    made.mkdir()
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.StaticEmbedding"}]
    (made / "modules.json").write_text(json.dumps(modules))
    (made / "model.safetensors").write_bytes(b"x")
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
