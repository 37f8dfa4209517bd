"""The paper's study on stand-ins: an encoder-decoder that writes and judges, and models named on the hub."""

from pathlib import Path

import pytest

from pipeline.hub import Hub
from pipeline.records import InputError
from pipeline.studies.run import dry_run
from pipeline.studies.spec import hub_names
from pipeline.studies.spec_file import read_study

PROJECT = Path(__file__).parents[3]


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
    hub = Hub()
    for name in ("hub:nobody/nothing", "hub-data:nobody/nothing/x.csv"):
        with pytest.raises(InputError, match="is not on this machine; add --download"):
            hub.path(name)
    for name in ("hub:nothing", "hub:a/../b", "hub-data:a/b", "hub-data:a/b/../../c"):
        with pytest.raises(InputError, match="not a name on the hub"):
            hub.path(name)
    assert hub.path("static-minilm") == "static-minilm"
