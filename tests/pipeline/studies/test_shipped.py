"""Every shipped study can be read and passes its dry run, whatever has changed; `paper` has its own test."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.forms import STUDY
from pipeline.records import Contrast, GeneratedTriplet, Outcome, SideResult
from pipeline.studies import data
from pipeline.studies.run import dry_run
from pipeline.studies.spec_file import read_study

ASSETS = Path(__file__).parents[3] / "assets"
STUDIES = sorted((ASSETS / "studies").glob("*.yaml"))


def test_there_are_studies():
    wanted = {"dino", "paper", "stages", "stages-gpu", "stages-why", "stages-smollm2", "search", "losses"}
    assert wanted <= {path.stem for path in STUDIES}


@pytest.fixture
def spoken(monkeypatch):
    """Stands for the embedded LLM, which takes its time and is tested by itself."""

    def generated(premises, config, hub, *, for_many):
        for premise in premises:
            side = SideResult(premise.text, "", Outcome.OK)
            yield GeneratedTriplet(premise, side, side, Contrast.NONE)

    class Judge:
        def scores(self, pairs):
            return [0.0 for _ in pairs]

    monkeypatch.setattr(data, "generated", generated)
    monkeypatch.setattr(data, "judge_named", lambda name, hub, vectors=None: Judge())


@pytest.mark.parametrize("path", [path for path in STUDIES if path.stem != "paper"], ids=lambda path: path.stem)
def test_it_says_what_it_asks_and_passes_its_dry_run(path, spoken):
    study = read_study(path, sample=ASSETS / "sample_corpus.parquet")
    assert study.name == path.stem and study.title != study.name and study.about
    assert len(study.seeds) >= 2 and len(study.arms) >= 4
    if study.arms[0].train.encoder == "smollm2-135m":  # 135 million parameters take long; another encoder stands in
        small = {"encoder": "static-minilm", "lora_rank": 0}
        study = replace(study, arms=tuple(replace(a, train=replace(a.train, **small)) for a in study.arms))
    tried = {check.part for check in dry_run(study, ASSETS / "premises.txt")}
    assert {f"arm {arm.name}" for arm in study.arms} <= tried
    assert any(part.startswith("generation") for part in tried)
    assert any(part.startswith("judge") for part in tried) == any(a.curation or a.scored_by for a in study.arms)


def test_the_benchmark_of_prompt_forms_writes_a_study_that_is_read(tmp_path):
    for arm in ("completion", "chat"):
        (tmp_path / f"{arm}.csv").write_text("premise,positive,hard_negative\nA dog.,An animal.,No dog.\n")
    (tmp_path / "forms.yaml").write_text(STUDY.format(folder=tmp_path))
    assert [arm.name for arm in read_study(tmp_path / "forms.yaml").arms] == ["completion", "chat"]
