"""Models and premises from a hub on this machine, by real workers: pinned, no pickles, one sentence offline."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.encoders import load_encoder
from pipeline.evaluation.benchmark import evaluate
from pipeline.evaluation.sts import read_task
from pipeline.hub import Hub, HubName, fetch, is_hub_name, telling
from pipeline.records import InputError, StorageError, Triplet, UnreachableError, WeightsError
from pipeline.studies.run import tiny_bert, tiny_t5
from pipeline.train_config import TrainConfig
from pipeline.training.run import train
from tests.stand_in_hub import stand_in_hub
from workbench.actions import ACTIONS
from workbench.actions.models import at_commit
from workbench.workspace import Workspace

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LINES = "".join(f"Line {i} of the corpus tells of the sea.\n" for i in range(50)).encode()


def files_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def repositories(tmp_path_factory):
    torch.manual_seed(3)
    made = tmp_path_factory.mktemp("models")
    folder = tiny_t5(made / "t5")
    model = {path.name: path.read_bytes() for path in folder.iterdir()}
    unwanted = {
        "pytorch_model.bin": b"\x80pickle",
        "onnx/config.json": b"{}",
        "run.py": b"x",
        "tf/x.safetensors": b"x",
    }
    plain = {path.name: path.read_bytes() for path in tiny_bert(made / "bert").iterdir()}
    load_encoder(made / "bert", pooling="cls").save_pretrained(str(made / "pooled"))
    pooled = {str(path.relative_to(made / "pooled")): path.read_bytes() for path in files_of(made / "pooled")}
    return {
        ("model:lab/tiny", COMMIT): model | unwanted,
        ("model:lab/bert", COMMIT): plain | {"pytorch_model.bin": b"\x80pickle"},
        ("model:lab/pooled", COMMIT): pooled,
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

    monkeypatch.setattr(constants, "ENDPOINT", os.environ["HF_ENDPOINT"])
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", constants.ENDPOINT + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(huggingface_hub.hf_api, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True, raising=False)
    return hub


def test_a_model_is_fetched_at_its_commit_without_pickles_and_once(here):
    told = []
    with telling(lambda name, done, total: told.append((name, done, total))):
        found = fetch(HubName.parse("lab/tiny"))
    assert str(found.name) == f"lab/tiny@{COMMIT}" and found.path.name == COMMIT
    names = {path.name for path in files_of(found.path)}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert names.isdisjoint({"pytorch_model.bin", "run.py", "x.safetensors"}) and not (found.path / "onnx").exists()
    done = [count for _, count, _ in told]
    assert told[-1][1] == told[-1][2] == sum(path.stat().st_size for path in files_of(found.path))
    assert done == sorted(done) and {name for name, _, _ in told} == {"lab/tiny@main"}
    asked = len(here)
    assert fetch(HubName.parse("lab/tiny", COMMIT)) == found and len(here) == asked, "a commit needs no network"


def test_what_the_hub_does_not_have_is_told_in_one_sentence(here, monkeypatch):
    with pytest.raises(WeightsError, match=r"no safetensors weights: name one of its GGUF files \(q4.gguf\)"):
        fetch(HubName.parse("lab/pickled"))
    with pytest.raises(InputError, match=r"no GGUF file 'q8.gguf'; it has q4.gguf"):
        fetch(HubName.parse("lab/pickled/q8.gguf"))
    with pytest.raises(InputError, match=r"no file 'x.txt'; it has data/lines.txt"):
        fetch(HubName.parse("hub-data:lab/sentences/x.txt"))
    with pytest.raises(InputError, match="no lab/absent on the hub that may be read from here"):
        fetch(HubName.parse("lab/absent"))
    assert fetch(HubName.parse("lab/pickled/q4.gguf")).path.read_bytes() == b"GGUF"
    for name in ("tiny", "a/../b", "https://example.org/a/b", "lab/tiny?x", "", "hub-data:lab/sentences"):
        with pytest.raises(InputError, match="not a name on the hub"):
            HubName.parse(name)
    with pytest.raises(InputError, match="two revisions"):
        HubName.parse("lab/tiny@main@v1")
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 10}))
    with pytest.raises(StorageError, match="has 10 free"):
        fetch(HubName.parse("lab/bert"))


def test_without_a_network_it_says_so_or_takes_what_was_fetched_before(here, monkeypatch):
    from huggingface_hub import constants

    bert = fetch(HubName.parse("lab/bert"))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UnreachableError, match="hub cannot be reached"):
        fetch(HubName.parse("lab/tiny"))
    assert fetch(HubName.parse("lab/bert")) == bert
    with pytest.raises(InputError, match="is not on this machine; add --download"):
        Hub().path("hub:lab/tiny")
    assert Hub().path("hub:lab/bert") == str(bert.path)
    assert Hub().pinned("hub:lab/bert@cls") == f"hub:lab/bert@{COMMIT}@cls"


def test_a_name_on_the_hub_is_told_from_what_is_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab" / "here").mkdir(parents=True)
    assert is_hub_name("lab/bert") and is_hub_name("lab/bert@v1@cls") and is_hub_name("hub:lab/here")
    assert not any(map(is_hub_name, ("lab/here", "static-minilm", "/lab/bert", "./bert", "lab/bert/model", "")))


def test_an_encoder_is_loaded_by_its_name_with_its_pooling(here, tmp_path):
    texts = ["A dog runs along the beach.", "How far is it?"]
    wanted = load_encoder("lab/pooled").encode(texts)
    assert (fetch(HubName.parse("lab/pooled")).path / "1_Pooling" / "config.json").is_file()
    np.testing.assert_allclose(load_encoder("lab/bert@cls").encode(texts), wanted, atol=1e-6)
    np.testing.assert_allclose(load_encoder("hub:lab/bert", pooling="cls").encode(texts), wanted, atol=1e-6)
    assert np.abs(load_encoder("lab/bert").encode(texts) - wanted).max() > 1e-3, "mean pooling differs"


def test_an_encoder_and_a_guide_of_the_hub_train(here, tmp_path):
    triplets = [Triplet(f"Number {n}.", f"It is {n}.", f"No {n}.") for n in range(16)]
    config = TrainConfig(
        encoder="lab/bert", guide="lab/pooled", mask_threshold=1.0, steps=1, batch_size=8, warmup_steps=0
    )
    trained = train(triplets, config, output_dir=tmp_path / "run", encoder_dir=tmp_path / "out")
    assert trained.step == 1 and load_encoder(tmp_path / "out").encode("A dog.").shape == (32,)


def test_an_encoder_of_the_hub_is_evaluated_by_name_and_stays_at_its_commit(here, workbench, own_workspace, tmp_path):
    tasks, found = tmp_path / "tasks", tmp_path / "found.json"
    tasks.mkdir()
    rows = ((5, "A dog is running."), (1, "It snows."), (3, "A cat."))
    pairs = "".join(f"a\t{score}\tA dog runs.\t{text}\n" for score, text in rows)
    (tasks / "mine.tsv").write_text(f"subset\tscore\tsentence1\tsentence2\n{pairs}")
    done = workbench(
        *("evaluate", "--encoder", "lab/bert@cls", "--sts-dir", tasks, "--workspace", own_workspace, "--json", found)
    )
    assert done.returncode == 0, done.stderr
    [result] = evaluate(load_encoder("lab/pooled"), [read_task("mine", tasks / "mine.tsv")])
    assert json.loads(found.read_text())["tasks"]["mine"]["spearman"] == pytest.approx(100 * result.score.spearman)
    with Workspace(own_workspace) as workspace:
        [encoder] = workspace.store.encoders.list()
        assert (encoder.name, encoder.folder) == ("lab/bert@cls", f"hub:lab/bert@{COMMIT}@cls")
        assert ACTIONS["add_encoder"](workspace, folder="lab/bert@cls")["encoder_id"] == encoder.encoder_id
        assert at_commit(workspace, "lab/bert@cls") == encoder.folder and at_commit(workspace, "mine") == "mine"
        with pytest.raises(InputError, match="no lab/absent on the hub"):
            ACTIONS["start_evaluate"](workspace, encoder="lab/absent", sts_dir=str(tasks))
        with pytest.raises(WeightsError, match="no safetensors weights"):
            ACTIONS["add_encoder"](workspace, folder="lab/pickled")


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
