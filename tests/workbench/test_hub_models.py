"""LLMs and premises from a hub on this machine, by real workers: pinned commits, no pickles, one sentence offline."""

from pathlib import Path

import pytest
import torch

from pipeline.hub_files import HubName, fetch_file, fetch_model
from pipeline.records import InputError, UnreachableError, WeightsError
from pipeline.studies.run import tiny_t5
from tests.stand_in_hub import stand_in_hub
from workbench.actions import ACTIONS
from workbench.workspace import Workspace

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LINES = "".join(f"Line {i} of the corpus tells of the sea.\n" for i in range(50)).encode()


@pytest.fixture(scope="module")
def repositories(tmp_path_factory):
    torch.manual_seed(3)
    folder = tiny_t5(tmp_path_factory.mktemp("models") / "t5")
    model = {path.name: path.read_bytes() for path in folder.iterdir()}
    unwanted = {"pytorch_model.bin": b"\x80pickle", "onnx/model.onnx": b"x", "run.py": b"x"}
    return {
        ("model:lab/tiny", COMMIT): model | unwanted,
        ("model:lab/pickled", COMMIT): {"config.json": b"{}", "pytorch_model.bin": b"\x80pickle", "q4.gguf": b"GGUF"},
        ("lab/sentences", COMMIT): {"data/lines.txt": LINES},
    }


@pytest.fixture
def hub(repositories, tmp_path, monkeypatch):
    with stand_in_hub(repositories) as (url, asked):
        monkeypatch.setenv("HF_ENDPOINT", url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("MULTICSR_CACHE", str(tmp_path / "cache"))
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield asked


@pytest.fixture
def here(hub, monkeypatch, tmp_path):
    """The same hub for this process, whose library read its address when it was imported."""
    import huggingface_hub
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", __import__("os").environ["HF_ENDPOINT"])
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", constants.ENDPOINT + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(huggingface_hub.hf_api, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True, raising=False)
    return hub


def test_a_model_is_fetched_at_its_commit_without_pickles_and_once(here, tmp_path):
    told = []
    tell = lambda done, total: told.append((done, total))  # noqa: E731
    found = fetch_model(HubName.parse("lab/tiny"), tmp_path / "models", tell=tell)
    assert found.name == f"lab/tiny@{COMMIT}" and found.path.name == f"lab--tiny@{COMMIT[:12]}"
    names = {path.name for path in found.path.rglob("*") if path.is_file()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert names.isdisjoint({"pytorch_model.bin", "model.onnx", "run.py"})
    assert told[-1][0] == told[-1][1] > 0 and [done for done, _ in told] == sorted(done for done, _ in told)
    asked = len([line for line in here if "resolve" in line])
    again = fetch_model(HubName.parse("lab/tiny", COMMIT), tmp_path / "models", tell=tell)
    assert again == found and len([line for line in here if "resolve" in line]) == asked


def test_what_the_hub_does_not_have_is_told_in_one_sentence(here, tmp_path):
    fetch = lambda name, how=fetch_model: how(HubName.parse(name), tmp_path, tell=lambda *_: None)  # noqa: E731
    with pytest.raises(WeightsError, match=r"no safetensors weights: name one of its GGUF files \(q4.gguf\)"):
        fetch("lab/pickled")
    with pytest.raises(InputError, match=r"no GGUF file 'q8.gguf'; it has q4.gguf"):
        fetch("lab/pickled/q8.gguf")
    with pytest.raises(InputError, match=r"no file 'x.txt'; it has data/lines.txt"):
        fetch("lab/sentences/x.txt", fetch_file)
    with pytest.raises(InputError, match="could not be fetched"):
        fetch("lab/absent")
    assert fetch("lab/pickled/q4.gguf").path.read_bytes() == b"GGUF"
    for name in ("tiny", "a/../b", "https://example.org/a/b", "lab/tiny?x", ""):
        with pytest.raises(InputError, match="not a name on the hub"):
            HubName.parse(name)


def test_without_a_network_it_says_so(here, monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UnreachableError, match="hub cannot be reached"):
        fetch_model(HubName.parse("lab/tiny"), tmp_path, tell=lambda *_: None)


def test_a_model_and_a_corpus_of_the_hub_are_used_like_local_ones(hub, own_workspace: Path):
    with Workspace(own_workspace) as workspace:
        added = ACTIONS["add_llm"](workspace, name="from hub", hub="lab/tiny")
        fetched = ACTIONS["start_fetch_premises"](workspace, hub="lab/sentences/data/lines.txt", limit=20)
        job = workspace.wait(added["job_id"], timeout_s=240)
        assert job.state == "finished", job.message
        llm = workspace.store.llms.get("from hub")
        assert (llm.entry.kind, llm.entry.source) == ("encoder-decoder", f"lab/tiny@{COMMIT}")
        assert workspace.wait(fetched["job_id"], timeout_s=240).state == "finished"
        [corpus] = workspace.store.premises.corpora()
        assert (corpus.name, corpus.premises) == ("lines", 20)
        assert corpus.source == f"lab/sentences/data/lines.txt@{COMMIT}"
        started = ACTIONS["start_generate"](
            workspace, corpus_id="lines", limit=2, config={"llm": "from hub", "max_new_tokens": 3}
        )
        assert workspace.wait(started["job_id"], timeout_s=240).state == "finished"
        assert workspace.store.overview()["triplets"] == 2
