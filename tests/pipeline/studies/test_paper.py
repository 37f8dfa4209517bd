"""The paper's study on stand-ins: an encoder-decoder that writes and judges, and models named on the hub."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.records import InputError
from pipeline.studies.hub import Hub, hub_names, pooled_copy, safetensors_copy
from pipeline.studies.run import dry_run, tiny_bert
from pipeline.studies.spec_file import read_study

PROJECT = Path(__file__).parents[3]
TEXTS = ["A dog runs along the beach.", "How far is it?"]


def test_the_shipped_study_names_the_papers_models_and_passes_its_dry_run():
    study = read_study(PROJECT / "assets" / "studies" / "paper.yaml")
    assert hub_names(study) == [
        "hub-data:princeton-nlp/datasets-for-simcse/nli_for_simcse.csv",
        "hub:google-bert/bert-base-uncased",
        "hub:google/flan-t5-xl",
        "hub:princeton-nlp/unsup-simcse-bert-base-uncased@cls",
    ]
    parts = {check.part: check.told for check in dry_run(study, PROJECT / "assets" / "premises.txt")}
    assert parts["generation, omega 0.6, hub:google/flan-t5-xl"] == "4 premises written"
    assert parts["judge digit:hub:google/flan-t5-xl"] == "4 pairs scored"
    assert {f"arm {arm.name}" for arm in study.arms} <= set(parts)


def test_what_is_not_on_this_machine_is_fetched_only_when_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    hub = Hub(tmp_path)
    for name in ("hub:nobody/nothing", "hub-data:nobody/nothing/x.csv"):
        with pytest.raises(InputError, match="is not on this machine; add --download"):
            hub.path(name)
    for name in ("hub:nothing", "hub:a/../b", "hub-data:a/b", "hub-data:a/b/../../c"):
        with pytest.raises(InputError, match="write hub"):
            hub.path(name)
    assert hub.path("static-minilm") == "static-minilm"


def test_a_pickle_of_tensors_becomes_safetensors_and_a_pickle_of_code_is_refused(tmp_path):
    from pipeline.encoders import load_encoder

    source = tiny_bert(tmp_path / "whole")
    wanted = load_encoder(source, pooling="cls").encode(TEXTS)
    weights = load_encoder(source)[0].auto_model.state_dict()
    torch.save(weights, source / "pytorch_model.bin")
    (source / "model.safetensors").unlink()
    copy = pooled_copy(safetensors_copy(source, tmp_path / "copy"), tmp_path / "cls", "cls")
    np.testing.assert_allclose(load_encoder(copy).encode(TEXTS), wanted, atol=1e-6)
    assert not list(copy.rglob("*.bin"))

    class Code:
        def __reduce__(self):
            return (print, ("run",))

    torch.save({"weight": Code()}, source / "pytorch_model.bin")
    with pytest.raises(Exception, match=r"weights_only|Unsupported"):
        safetensors_copy(source, tmp_path / "other")
