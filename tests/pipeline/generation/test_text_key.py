"""The key under which replies are taken over: whatever may change a text changes it, and nothing else does."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline import encoder_folders
from pipeline.config import GenerationConfig
from pipeline.generation.engines import folder_weights
from pipeline.generation.engines.llama import LlamaLLM
from pipeline.generation.engines.torch_llama import TorchLlama
from pipeline.generation.llms.registry import LLMEntry, entry_for
from pipeline.generation.prompt_sets import prompt_set
from pipeline.generation.text_key import text_key
from pipeline.weights import embedded_gguf, smollm2_safetensors_folder

CONFIG = GenerationConfig()


def key(entry: LLMEntry, **changes: object) -> str:
    return text_key(replace(CONFIG, **changes), prompt_set(CONFIG.prompt_set), entry)


@pytest.fixture(scope="module")
def embedded() -> LLMEntry:
    return entry_for("smollm2-135m")


@pytest.fixture(scope="module")
def folder() -> LLMEntry:
    return LLMEntry(name="folder", kind="decoder", location=str(smollm2_safetensors_folder()))


def test_settings_that_change_text_change_the_key(embedded: LLMEntry) -> None:
    changes = ({"omega": 0.3}, {"seed": 1}, {"batch_size": 8}, {"temperature": 0.5}, {"max_new_tokens": 9})
    assert len({key(embedded), *(key(embedded, **change) for change in changes)}) == 1 + len(changes)
    assert key(embedded) == key(embedded, token_budget=5), "what a run may cost changes no text"


@pytest.mark.parametrize(("engine", "model"), [("llama.cpp", LlamaLLM), ("torch", TorchLlama)])
def test_the_batch_that_an_engine_chooses_is_in_the_key(
    embedded: LLMEntry, engine: str, model: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MULTICSR_ENGINE", engine)
    before = key(embedded)
    monkeypatch.setattr(model, "rows", model.rows + 2)
    assert key(embedded) != before


def test_engines_have_keys_of_their_own(embedded: LLMEntry, monkeypatch: pytest.MonkeyPatch) -> None:
    found = set()
    for engine in ("llama.cpp", "torch"):
        monkeypatch.setenv("MULTICSR_ENGINE", engine)
        found.add(key(embedded))
    assert len(found) == 2


def test_a_precision_is_in_the_key_where_it_changes_text(
    embedded: LLMEntry, folder: LLMEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MULTICSR_ENGINE", "torch")
    for entry in (embedded, folder):
        plain = key(entry)
        assert key(entry, precision="fp32") == plain, "what it was before there was a choice"
        assert key(entry, precision="bf16") != plain
    monkeypatch.setenv("MULTICSR_ENGINE", "torch-bf16")
    for entry in (embedded, folder):
        assert key(entry) == key(entry, precision="bf16")
    own = LLMEntry(name="own", kind="gguf", location=str(embedded_gguf()))
    assert key(own) == key(own, precision="bf16"), "llama.cpp has one format"


def test_a_folder_writes_something_else_on_a_gpu(folder: LLMEntry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its batch and its numbers differ there; which GPU it is plays no part."""
    found = []
    for device in ("cpu", "cuda:0", "cuda:1"):
        monkeypatch.setattr(encoder_folders, "resolve_device", lambda wanted, device=device: device)
        found.append(key(folder))
    assert found[0] != found[1] == found[2]


def test_a_folder_whose_layers_slide_is_written_anew(folder: LLMEntry, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine gives such a model its whole window, which transformers' padded batches did not."""
    before = key(folder)
    monkeypatch.setattr(folder_weights, "slides", lambda _folder: True)
    assert key(folder) != before


def test_a_changed_file_changes_the_key(tmp_path: Path) -> None:
    keys = []
    for content in (b"GGUF one", b"GGUF two"):
        path = tmp_path / f"{content[-3:].decode()}.gguf"
        path.write_bytes(content)
        keys.append(key(LLMEntry(name="own", kind="gguf", location=str(path))))
    assert keys[0] != keys[1]


def test_what_a_server_is_sent_beside_the_settings_is_in_the_key() -> None:
    far = LLMEntry("far", "remote", "http://127.0.0.1:1/v1", model="m", api="completions")
    changes = ({"extra_body": '{"top_k": 5}'}, {"thinking": '{"reasoning_effort": "low"}'}, {"token_contrast": True})
    assert len({key(far), *(key(replace(far, **change)) for change in changes)}) == 1 + len(changes)
    limits = {"concurrency": 2, "requests_per_minute": 5, "replicas": ("http://127.0.0.1:2/v1",), "headers": "{}"}
    assert key(replace(far, **limits)) == key(far), "how fast it is called changes no text"
    assert key(replace(far, token_contrast=True), omega=0.0) == key(far, omega=0.0)
